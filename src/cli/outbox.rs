//! `outbox`: mails that must go out.

use super::{Exit, OutboxAction};
use crate::config::Config;

pub(super) async fn outbox(_config: &Config, _action: OutboxAction) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
