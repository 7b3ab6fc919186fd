// Package wit has what the contract's types are made of: values that may be missing, pairs, and how a call went.
package wit

// The cases of an Option.
const (
	OptionNone = 0
	OptionSome = 1
)

// Option is a value, or none. The zero value is none.
type Option[T any] struct {
	tag   uint8
	value T
}

// Some is a value that is there.
func Some[T any](value T) Option[T] {
	return Option[T]{OptionSome, value}
}

// None is no value.
func None[T any]() Option[T] {
	return Option[T]{}
}

// Tag says which case it is.
func (option Option[T]) Tag() uint8 {
	return option.tag
}

// Some is the value; the zero value of its type where there is none.
func (option Option[T]) Some() T {
	return option.value
}

// Get is the value, and whether there is one.
func (option Option[T]) Get() (T, bool) {
	return option.value, option.tag == OptionSome
}

// The cases of a Result.
const (
	ResultOk  = 0
	ResultErr = 1
)

// Result is how a call went. parlor.Value makes a value and an error of it.
type Result[T any, E any] struct {
	tag    uint8
	value  T
	failed E
	// The call that failed; nil if it is not known.
	called *Called
}

// Called is a generated function that an author called, such as rooms.Kick, and whom or what the call was about.
type Called struct{ Name, About string }

// Ok is a call that did what was asked.
func Ok[T any, E any](value T) Result[T, E] {
	return Result[T, E]{tag: ResultOk, value: value}
}

// Err is one that did not.
func Err[T any, E any](failed E) Result[T, E] {
	return Result[T, E]{tag: ResultErr, failed: failed}
}

// Of notes whose result it is, if the call failed; for the generated code. Other calls begin and end while an answer is decoded.
func (result Result[T, E]) Of(name, about string) Result[T, E] {
	if result.tag == ResultErr {
		result.called = &Called{name, about}
	}
	return result
}

// Called is the call that failed; empty where that is not known.
func (result Result[T, E]) Called() Called {
	if result.called == nil {
		return Called{}
	}
	return *result.called
}

// Tag says which case it is.
func (result Result[T, E]) Tag() uint8 {
	return result.tag
}

// Ok is what was asked for; the zero value of its type where the call failed.
func (result Result[T, E]) Ok() T {
	return result.value
}

// Err is why it failed; the zero value of its type where it did not.
func (result Result[T, E]) Err() E {
	return result.failed
}

// Unit is nothing, for calls that give nothing.
type Unit struct{}

// Tuple2 is a pair.
type Tuple2[T0 any, T1 any] struct {
	F0 T0
	F1 T1
}
