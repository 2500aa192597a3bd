//! Who gives a command, and why: what is written down of a decision.

use super::Usage;

/// The login name of the person at the keyboard: under sudo the one who called it, otherwise the
/// owner of this process.
pub(super) fn login_name() -> String {
    let through_sudo = std::env::var("SUDO_USER").ok();
    through_sudo
        .filter(|name| !name.is_empty())
        .or_else(|| whoami::username().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// A reason that says something.
pub(super) fn reason(text: &str) -> Result<&str, Usage> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Usage(
            "--reason: expected a few words for those who ask later, found nothing".to_owned(),
        ));
    }
    Ok(text)
}
