//! The word that there may be something to send, to every dispatcher at once.
//!
//! Guarantee: a word that is said while a dispatcher is at work is heard when it is done, and several
//! are heard as one. Left out on purpose: what there is to send; that is looked for in the outbox.

use tokio::sync::watch;

/// Says the word; what is cloned says it to the same ones.
#[derive(Debug, Clone)]
pub struct Wake(watch::Sender<()>);

/// Hears the word.
#[derive(Debug)]
pub struct Listener {
    heard: watch::Receiver<()>,
    /// So that there is somebody who could say it, for as long as somebody listens.
    _voice: Wake,
}

impl Default for Wake {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Wake {
    /// Says it to all who listen.
    pub fn everybody(&self) {
        self.0.send_replace(());
    }

    /// Hears what is said from now on.
    pub fn listener(&self) -> Listener {
        Listener {
            heard: self.0.subscribe(),
            _voice: self.clone(),
        }
    }
}

impl Listener {
    /// Completes when the word was said since it was heard last. Dropped before that, it loses none.
    pub async fn woken(&mut self) {
        // It fails only where nobody could say it any more.
        self.heard.changed().await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the word was said and not heard yet.
    async fn hears(listener: &mut Listener) -> bool {
        tokio::select! {
            biased;
            () = listener.woken() => true,
            () = tokio::task::yield_now() => false,
        }
    }

    #[tokio::test]
    async fn everybody_hears_the_word_once_and_nobody_misses_it() {
        let wake = Wake::default();
        let (mut one, mut other) = (wake.listener(), wake.listener());
        assert!(!hears(&mut one).await);
        wake.everybody();
        wake.clone().everybody();
        for listener in [&mut one, &mut other] {
            assert!(hears(listener).await);
            assert!(!hears(listener).await);
        }
        drop(wake);
        assert!(!hears(&mut one).await, "silence is no word");
    }
}
