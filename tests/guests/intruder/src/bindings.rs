//! WASI bindings that `wit-bindgen` generates from `wit/`.

wit_bindgen::generate!({ path: "wit", world: "intruder", generate_all });
