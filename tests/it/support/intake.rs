//! An intake for the company that [`Notice`](super::daemon::Notice) names.

use std::sync::Arc;

use invoice_trackd::{
    authenticity::{Require, Settings, Verifier},
    delivery::Style,
    intake::Intake,
    ledger::Ledger,
    notice::{Companies, Company, Rules},
};

use super::dns::Dns;

pub fn company() -> Company {
    Company::new("53567686".parse().unwrap(), "雲端行動科技股份有限公司")
}

/// Who demands nothing and believes From.
pub fn believing() -> Arc<Verifier> {
    Arc::new(Verifier::new(Settings {
        require: Require::None,
        ..Settings::default()
    }))
}

/// Who demands `require`, and asks `dns` for keys.
pub fn demanding(require: Require, dns: &Dns) -> Arc<Verifier> {
    Arc::new(Verifier::new(Settings {
        require,
        dns_servers: vec![dns.address()],
        ..Settings::default()
    }))
}

pub fn intake(ledger: Ledger, style: Style) -> Intake {
    Intake {
        ledger,
        rules: Rules {
            companies: Companies::new(vec![company()]).unwrap(),
            ..Rules::default()
        },
        verifier: believing(),
        style: Some(style),
    }
}
