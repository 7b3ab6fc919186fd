//! The tools of plugin authors: builds, ports of plugins for other frameworks, and tests on a mock server.
//!
//! **Owns:** the build of a plugin in each language; the port of a plugin from another framework; the script of a
//! `.chat` test, its mock server and its report.
//!
//! **Must not** be part of a host that only runs plugins: `parlor run` calls nothing here.
//!
//! **Begin with** [`build::build`], and [`plugin_test`], which lists the steps of a test.

pub mod build;
pub mod plugin_test;
pub mod port;
