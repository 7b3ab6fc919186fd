//! WASI, as `wit-bindgen` makes it of `wit/`.

wit_bindgen::generate!({ path: "wit", world: "intruder", generate_all });
