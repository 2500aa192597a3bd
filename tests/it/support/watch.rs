//! One mailbox as the daemon watches it, with nobody around it: step by step, or in its loop.

use std::{sync::Arc, time::Duration};

use invoice_trackd::{
    backoff::Backoff,
    clock::Clock,
    daemon::{Orders, Pauses, Watch},
    delivery::Wake,
    http::{Signs, Vitals},
};
use tokio::sync::{Notify, watch};

use super::daemon::unwatched;

/// Watches the mailbox `einvoice`.
pub fn watch(
    orders: watch::Receiver<Arc<Orders>>,
    clock: Clock,
    stopped: watch::Receiver<bool>,
) -> Watch {
    let name = "einvoice".to_owned();
    Watch {
        orders,
        clock,
        wake: Wake::default(),
        ask: Arc::new(Notify::new()),
        vitals: watch::Sender::new(Vitals {
            mailboxes: [(name.clone(), Signs::default())].into(),
            ..Vitals::default()
        }),
        name,
        pulse: unwatched(),
        stopped,
        pauses: Pauses::default(),
    }
}

/// Comes back from any trouble in no time.
pub fn hurried() -> Pauses {
    let soon = Backoff {
        first: Duration::from_millis(20),
        most: Duration::from_millis(200),
    };
    Pauses {
        reconnect: soon,
        login_refused: soon,
    }
}
