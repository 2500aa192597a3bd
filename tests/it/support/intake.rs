//! An intake for the company that [`Notice`](super::daemon::Notice) names.

use invoice_trackd::{
    authenticity::Require,
    delivery::Style,
    intake::Intake,
    ledger::Ledger,
    notice::{Assignment, Companies, Company, Rules},
};

pub fn company() -> Company {
    Company {
        ban: "53567686".parse().unwrap(),
        name: "雲端行動科技股份有限公司".to_owned(),
        assignment: Assignment::Period,
        recipients: Vec::new(),
    }
}

pub fn intake(ledger: Ledger, style: Style) -> Intake {
    Intake {
        ledger,
        rules: Rules {
            companies: Companies::new(vec![company()]).unwrap(),
            ..Rules::default()
        },
        require: Require::None,
        style: Some(style),
    }
}
