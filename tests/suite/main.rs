//! The suite: tests of the host against a real server. It runs in this process if tests inspect it, and as a separate
//! process if that matters. There is one binary, and one module for each grouping and concern.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so in one word")]

// Shared parts of the tests.
mod answer;
mod compiled;
mod seed;
mod test_host;
mod trace;

// The groupings of `wit/`, under the same names.
mod api;
mod archive;
mod chats;
mod chatviews;
mod commands;
mod connection;
mod contacts;
mod counts;
mod dialogs;
mod disco;
mod hooks;
mod http;
mod iq;
mod listen;
mod log;
mod people;
mod promises;
mod pubsub;
mod requests;
mod rooms;
mod schedules;
mod settings;
mod storage;
mod timers;
mod tokens;
mod user;
mod vcard;

// Properties that hold across groupings.
mod accounts;
mod attack;
mod bad_answers;
mod bad_arguments;
mod bad_input;
mod catch_up;
mod cluster;
mod cluster_moves;
mod compiling;
mod component;
mod connected;
mod cut;
mod demo;
mod deployment;
mod dist;
mod encrypted;
mod encryption;
mod faults;
mod files;
mod gone;
mod grants;
mod instances;
mod languages;
mod limits;
mod oversized;
mod owner;
mod parking;
mod permissions;
mod plugin_test;
mod plugins;
mod prebind;
mod secrets;
mod stopping;
mod tidy;
mod transports;
mod ways;
mod webhooks;
