;; A plugin as `parlor plugin build` makes it, whose functions trap.
(component
  (import "parlor:plugin/chats@0.1.3" (instance (export "send" (func async (param "jid" string)))))
  (core module $m
    (func (export "start") (result i32) unreachable)
    (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (func $f async (canon lift (core func $i "start") async (callback (core func $i "callback"))))
  (instance $guest
    (export "initialize" (func $f))
    (export "handle-event" (func $f))
    (export "stop" (func $f)))
  (export "parlor:plugin/guest@0.1.0" (instance $guest))
  (@custom "parlor:manifest" "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says what it hears\"\n"))
