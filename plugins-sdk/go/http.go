package parlor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"parlor/contract/http"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// HTTPRequest is a request over the web.
type HTTPRequest struct {
	// Method is in capitals; GET where it is empty.
	Method string
	// URL is https://host[:port]/path[?query], or the same with http where the grant says so.
	URL string
	// Query is added to that of the URL, before a fragment: the values by name, such as a url.Values. They may be any text, such as what
	// a person wrote. They are encoded here, braces as well, and come in the order of their names. Write the place of a credential,
	// {{name}}, into the URL.
	Query map[string][]string
	// Header has the values by name.
	Header map[string]string
	// Body may be nil.
	Body []byte
	// JSON is sent as JSON in the place of Body, with its content-type unless Header has one.
	JSON any
	// Form is sent as a form of these parts in the place of Body, with its content-type.
	Form []HTTPPart
	// Fields are sent as a form without files in the place of Body, encoded as Query is, with its content-type unless Header has one.
	Fields map[string][]string
	// Credentials are settings of that type. The host writes each where {{name}} stands, in the parts of the request that insert_in in
	// plugin.toml lists; without it, in the header and the query.
	Credentials []string
	// Follow is how many redirects are followed, 10 at most.
	Follow uint8
	// Timeout is how long it may take in all, or with HTTPOpen each wait by itself; 0 is as long as the host allows.
	Timeout time.Duration
}

// HTTPPart is a field of a form, or a file, as browsers send them (RFC 7578).
type HTTPPart struct {
	// Name is that of the field.
	Name string
	// Content is what a person would enter, or what is in the file.
	Content []byte
	// FileName makes it a file.
	FileName string
	// MediaType is that of a file, such as image/png; application/octet-stream where it is empty.
	MediaType string
}

// HTTPResponse is the answer.
type HTTPResponse struct {
	// Status is the status code (RFC 9110, section 15).
	Status int
	// URL is the address that answered, after all redirects.
	URL string
	// Header has the values by name, in small letters; of several with one name, they are joined by a comma, and those of set-cookie by a
	// line feed, since a cookie may contain commas.
	Header map[string]string
	// Body is whole.
	Body []byte
}

// HTTPDo makes a request, and waits for the whole answer. A status from 400 on is no error: see HTTPResponse.Success. Needs http.fetch.
//
//	weather, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{URL: "https://api.example.org/weather?key={{api_key}}", Credentials: []string{"api_key"}})
//
// It gives Invalid where more than one of Body, JSON, Form and Fields is given.
//
//	form := []parlor.HTTPPart{
//		{Name: "title", Content: []byte("The balcony")},
//		{Name: "file", FileName: "balcony.png", MediaType: "image/png", Content: picture},
//	}
//	answer, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/pictures", Form: form})
//
//	query := map[string][]string{"city": {city}}
//	weather, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{URL: "https://api.example.org/weather", Query: query})
func HTTPDo(ctx context.Context, request HTTPRequest) (*HTTPResponse, error) {
	asked, err := request.wire()
	if err != nil {
		return nil, err
	}
	server := withoutQuery(request.URL)
	answer, err := call(ctx, server, func() wit.Result[http.Response, types.Error] { return http.Fetch(asked) })
	if err != nil {
		return nil, err
	}
	return &HTTPResponse{Status: int(answer.Status), URL: answer.Url, Header: byName(answer.Headers), Body: answer.Body}, nil
}

func (request HTTPRequest) wire() (http.Request, error) {
	url := withQuery(request.URL, request.Query)
	asked := http.Request{
		Method: request.Method, Url: url, Credentials: request.Credentials, Follow: request.Follow, Timeout: expires(request.Timeout),
	}
	if asked.Method == "" {
		asked.Method = "GET"
	}
	body, kind, err := request.content()
	if err != nil {
		return asked, err
	}
	for name, value := range request.Header {
		if strings.EqualFold(name, "content-type") {
			// That of a form has its boundary.
			if request.Form != nil {
				continue
			}
			kind = ""
		}
		asked.Headers = append(asked.Headers, types.Header{Name: name, Value: value})
	}
	if kind != "" {
		asked.Headers = append(asked.Headers, types.Header{Name: "content-type", Value: kind})
	}
	if body != nil {
		asked.Body = wit.Some(body)
	}
	return asked, nil
}

// Returns the body, and its content-type if the body has one of its own.
func (request HTTPRequest) content() (body []byte, kind string, err error) {
	given := 0
	for _, is := range []bool{request.Body != nil, request.JSON != nil, request.Form != nil, request.Fields != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, "", &Invalid{Argument: "request", Reason: "has more than one of Body, JSON, Form and Fields"}
	case request.JSON != nil:
		body, err = marshal(request.JSON)
		return body, "application/json", err
	case request.Form != nil:
		body, kind = form(request.Form)
		return body, kind, nil
	case request.Fields != nil:
		return []byte(formFields(request.Fields)), "application/x-www-form-urlencoded", nil
	}
	return request.Body, "", nil
}

// Returns a form as browsers send it, and its content-type.
func form(parts []HTTPPart) (body []byte, kind string) {
	// Random, so that no part can have it.
	boundary := fmt.Sprintf("parlor-%016x%016x", rand.Uint64(), rand.Uint64())
	for _, part := range parts {
		body = fmt.Appendf(body, "--%s\r\ncontent-disposition: form-data; name=\"%s\"", boundary, escaped.Replace(part.Name))
		if part.FileName != "" {
			// A line end in the media type would begin another header.
			words := strings.FieldsFunc(part.MediaType, func(sign rune) bool { return sign == '\r' || sign == '\n' })
			kind := cmp.Or(strings.Join(words, " "), "application/octet-stream")
			body = fmt.Appendf(body, "; filename=\"%s\"\r\ncontent-type: %s", escaped.Replace(part.FileName), kind)
		}
		body = append(append(append(body, "\r\n\r\n"...), part.Content...), "\r\n"...)
	}
	return fmt.Appendf(body, "--%s--\r\n", boundary), "multipart/form-data; boundary=" + boundary
}

// Escapes a name for a header as browsers do (RFC 7578, section 4.2).
var escaped = strings.NewReplacer("\"", "%22", "\r", "%0D", "\n", "%0A")

// Returns an address with more fields in its query. A client does not send the fragment, the part from the # on (RFC 3986, section 3.5).
func withQuery(url string, query map[string][]string) string {
	fields := formFields(query)
	if fields == "" {
		return url
	}
	address, fragment, hasFragment := strings.Cut(url, "#")
	if strings.Contains(address, "?") {
		address += "&" + fields
	} else {
		address += "?" + fields
	}
	if hasFragment {
		address += "#" + fragment
	}
	return address
}

// Returns fields as a query and a form have them (application/x-www-form-urlencoded of the URL standard), in the order of their names.
func formFields(fields map[string][]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			pairs = append(pairs, formText(name)+"="+formText(value))
		}
	}
	return strings.Join(pairs, "&")
}

// Encodes a text for a query and a form. Braces are encoded, too: a {{name}} of a person must not become a credential.
func formText(text string) string {
	encoded := make([]byte, 0, len(text))
	for at := range len(text) {
		sign := text[at]
		switch {
		case sign == ' ':
			encoded = append(encoded, '+')
		case '0' <= sign && sign <= '9', 'A' <= sign && sign <= 'Z', 'a' <= sign && sign <= 'z', strings.IndexByte("-._~", sign) >= 0:
			encoded = append(encoded, sign)
		default:
			encoded = fmt.Appendf(encoded, "%%%02X", sign)
		}
	}
	return string(encoded)
}

// Returns an address without its query, which may have a secret of the plugin's own, and without what stands behind a #, which is the key
// of an encrypted file.
func withoutQuery(url string) string {
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		return url[:end]
	}
	return url
}

// HTTPGet makes a request of the method GET. Needs http.fetch.
func HTTPGet(ctx context.Context, url string) (*HTTPResponse, error) {
	return HTTPDo(ctx, HTTPRequest{URL: url})
}

// Success is an error where the status is 400 or more.
func (response *HTTPResponse) Success() error { return success(response.Status) }

func success(status int) error {
	if status >= 400 {
		return fmt.Errorf("the server answered %d", status)
	}
	return nil
}

// JSON reads the body into a value.
func (response *HTTPResponse) JSON(value any) error { return fromJSON(response.Body, value) }

// Reads a body. Some servers write a byte order mark before JSON, which readers may ignore (RFC 8259, section 8.1).
func fromJSON(body []byte, value any) error {
	return json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), value)
}

// Exchange is a request whose bodies go in parts: write the body, wait for the answer, and read that. It is an io.Writer and, after
// Answer, an io.Reader. A context that has ended ends its calls.
type Exchange struct {
	ctx    context.Context
	server string
	number uint64
	answer incoming
}

// HTTPHead is the beginning of an answer.
type HTTPHead struct {
	// Status is the status code (RFC 9110, section 15).
	Status int
	// Header has the values by name, in small letters; of several with one name, they are joined by a comma, and those of set-cookie by a
	// line feed, since a cookie may contain commas.
	Header map[string]string
}

// HTTPOpen begins a request whose bodies go in parts, and are never whole in memory. If Body is nil, Write sends the body.
// No redirect is followed. It counts among the limit http_requests until it is closed, or its answer was read to the end. With a
// header content-length, exactly as many bytes have to be written: some servers ask for it. Needs http.fetch.
//
//	exchange, err := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "PUT", URL: "https://api.example.org/log"})
//	if err != nil {
//		return err
//	}
//	defer exchange.Close()
//	for day := range 31 {
//		if _, err := fmt.Fprintf(exchange, "day %d\n", day+1); err != nil {
//			return err
//		}
//	}
//	head, err := exchange.Answer()
//
// A form that is too large to be whole in memory is written by the package mime/multipart, which gives the boundary before the request begins:
//
//	boundary := multipart.NewWriter(nil).Boundary()
//	header := map[string]string{"content-type": "multipart/form-data; boundary=" + boundary}
//	exchange, err := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/pictures", Header: header})
//	…
//	form := multipart.NewWriter(exchange)
//	err = form.SetBoundary(boundary)
func HTTPOpen(ctx context.Context, request HTTPRequest) (*Exchange, error) {
	asked, err := request.wire()
	if err != nil {
		return nil, err
	}
	server := withoutQuery(request.URL)
	number, err := call(ctx, server, func() wit.Result[uint64, types.Error] { return http.Open(asked) })
	if err != nil {
		return nil, err
	}
	return &Exchange{ctx: ctx, server: server, number: number}, nil
}

// Write sends a part of the body, of any size. It waits while the server takes no more. It gives Protocol where the server takes no more
// of it: the server may have answered, so call Answer. It gives Invalid where that is more than the content-length, and NotFound after
// Answer. Needs http.fetch.
func (exchange *Exchange) Write(part []byte) (int, error) {
	return inParts(part, func(piece []byte) error {
		return done(exchange.ctx, exchange.server, func() wit.Result[wit.Unit, types.Error] { return http.Write(exchange.number, piece) })
	})
}

// Answer ends the body, and waits for the beginning of the answer. A status from 400 on is no error: see HTTPHead.Success. The errors are
// those of HTTPDo; it gives NotFound when it is called again, and Invalid while bytes of the content-length are missing. Needs http.fetch.
func (exchange *Exchange) Answer() (*HTTPHead, error) {
	head, err := call(exchange.ctx, exchange.server, func() wit.Result[http.Head, types.Error] { return http.Answer(exchange.number) })
	if err != nil {
		return nil, err
	}
	return &HTTPHead{Status: int(head.Status), Header: byName(head.Headers)}, nil
}

// Read reads the answer; io.EOF is its end. The server sends no more than is read. It gives NotFound before Answer. Needs http.fetch.
func (exchange *Exchange) Read(into []byte) (int, error) {
	return exchange.answer.read(into, func() (wit.Option[[]uint8], error) {
		return call(exchange.ctx, exchange.server, func() wit.Result[wit.Option[[]uint8], types.Error] { return http.Read(exchange.number) })
	})
}

// Close ends it, wherever it stands. One that has ended is left alone. Needs http.fetch.
func (exchange *Exchange) Close() error {
	return exchange.answer.close(func() error { return Done(http.Close(exchange.number)) })
}

// Success is an error where the status is 400 or more.
func (head *HTTPHead) Success() error { return success(head.Status) }

// How many bytes the host takes of a body at once.
const mostWritten = 1 << 20

// Writes in as many parts as it takes, and gives how much of it was taken.
func inParts(whole []byte, write func(piece []byte) error) (int, error) {
	written := 0
	for piece := range slices.Chunk(whole, mostWritten) {
		if err := write(piece); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return written, nil
}

// A body that the host gives in parts, and that others take in pieces of any size.
type incoming struct {
	rest []byte
	// It was read to its end.
	isOver bool
	// It was closed before that, and what was not read is no end.
	isClosed bool
}

func (incoming *incoming) read(into []byte, next func() (wit.Option[[]uint8], error)) (int, error) {
	for len(incoming.rest) == 0 && len(into) > 0 {
		if incoming.isOver {
			return 0, io.EOF
		}
		if incoming.isClosed {
			return 0, fs.ErrClosed
		}
		part, err := next()
		if err != nil {
			return 0, err
		}
		incoming.rest, incoming.isOver = part.Some(), part.Tag() == wit.OptionNone
	}
	count := copy(into, incoming.rest)
	incoming.rest = incoming.rest[count:]
	return count, nil
}

// Closes it, unless it has ended by itself.
func (incoming *incoming) close(end func() error) error {
	if incoming.isOver || incoming.isClosed {
		return nil
	}
	incoming.isClosed, incoming.rest = true, nil
	return unlessGone(end())
}

// A request that has ended by itself need not be closed.
func unlessGone(err error) error {
	var gone *NotFound
	if errors.As(err, &gone) {
		return nil
	}
	return err
}
