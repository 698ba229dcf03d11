//! The core as its callers see it: a control loop over a log in memory. One program, because it links once.

mod acts;
mod cancel;
mod census;
mod control_loop;
mod delete;
mod freshness;
mod hosting;
mod house;
mod log;
mod moving;
mod named;
mod observe;
mod pins;
mod property;
mod refusal;
mod rescale;
mod scale;
mod time;
mod token;
mod unreachable;
mod upgrade;
