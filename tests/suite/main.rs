//! The suite: the host against a real server, in this process where that sees more, and as a process where that matters.
//! One binary, one module for each grouping and concern.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so in one word")]

// What the tests stand on.
mod answer;
mod compiled;
mod house;
mod seed;
mod trace;

// The groupings of `wit/`, under the same names.
mod api;
mod archive;
mod chats;
mod chatviews;
mod commands;
mod connection;
mod contacts;
mod disco;
mod listen;
mod log;
mod promises;
mod rooms;
mod settings;
mod storage;
mod timers;
mod tokens;
mod user;
mod vcard;

// What holds across them.
mod accounts;
mod attack;
mod bad_answers;
mod bad_arguments;
mod bad_input;
mod catch_up;
mod compiling;
mod connected;
mod cut;
mod demo;
mod dist;
mod faults;
mod gone;
mod grants;
mod languages;
mod limits;
mod owner;
mod permissions;
mod plugins;
mod prebind;
mod rehearsal;
mod secrets;
mod stopping;
mod tidy;
mod transports;
mod ways;
