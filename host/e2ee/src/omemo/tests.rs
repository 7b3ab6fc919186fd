//! What others could do wrong.
