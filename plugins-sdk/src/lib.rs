//! Write plugins for parlor.
