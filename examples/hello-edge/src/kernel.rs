//! The few calls of the kernel that the standard library does not offer: what happens at TERM, and two calls that a
//! container must be refused. All of the program's `unsafe` is here.

use std::io;

/// Ends the process at TERM. The first process of a container has no default action for it: without a handler TERM
/// is ignored there, and every stop would last its whole grace period.
pub(crate) fn end_at_term() {
    // SAFETY: `leave` is an `extern "C"` function that only calls `_exit`, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGTERM, leave as *const () as libc::sighandler_t) };
}

/// Makes TERM do nothing at all, also outside a container.
pub(crate) fn ignore_term() {
    // SAFETY: SIG_IGN is a valid disposition and no handler of ours runs.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// Asks for the session keyring, which any process may do unless a seccomp filter is in the way.
pub(crate) fn try_keyctl() -> io::Result<()> {
    const GET_KEYRING_ID: libc::c_long = 0;
    const SESSION_KEYRING: libc::c_long = -3;
    // SAFETY: the operation takes two integers and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 1) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens a raw socket, which needs NET_RAW.
pub(crate) fn try_raw_socket() -> io::Result<()> {
    // SAFETY: plain integers; the descriptor is left to the end of the process, which follows at once.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP) };
    if socket < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

extern "C" fn leave(_signal: libc::c_int) {
    // SAFETY: `_exit` ends the process without running anything of ours.
    unsafe { libc::_exit(0) }
}
