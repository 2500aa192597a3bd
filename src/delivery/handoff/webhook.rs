//! One POST of JSON, signed as <https://www.standardwebhooks.com> has it.
//!
//! Guarantees: a redirect is not followed, for it would take the numbers elsewhere; the secret is in
//! no message. Left out on purpose: trying again.

use std::time::Duration;

use super::{
    super::{Attempt, Unreachable},
    Webhook,
};
use crate::ledger::Letter;

pub(super) async fn send(
    webhook: &Webhook,
    _letter: &Letter,
    _within: Duration,
) -> Result<Attempt, Unreachable> {
    Err(Unreachable(format!(
        "post to {}: not built yet",
        webhook.url
    )))
}
