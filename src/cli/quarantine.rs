//! `quarantine`: a person decides about mails that wait.

use super::{Exit, QuarantineAction};
use crate::config::Config;

pub(super) async fn quarantine(
    _config: &Config,
    _action: QuarantineAction,
) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
