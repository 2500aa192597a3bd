//! Who gives a command: the login name under which a decision is written down.

/// The login name of the person at the keyboard: under sudo the one who called it, otherwise the
/// owner of this process.
pub(super) fn login_name() -> String {
    let through_sudo = std::env::var("SUDO_USER").ok();
    through_sudo
        .filter(|name| !name.is_empty())
        .or_else(|| whoami::username().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}
