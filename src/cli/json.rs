//! What machines read: names and forms are a contract with scripts.

use serde_json::{Value, json};

use crate::{
    ledger::{Alarm, AllocationRow, QuarantineRow, Wait},
    notice::{Allocation, Company, Finding},
    schedule::Due,
    stranger,
};

/// As it is printed: what a terminal would obey, or a person could not see, stands as `\\u202e`.
pub(super) fn text(value: &Value) -> String {
    stranger::in_json(&format!("{value:#}")).into_owned()
}

/// The allocation columns from `ban` to `added_booklets`.
pub(super) fn allocation(allocation: &Allocation) -> Value {
    let block = &allocation.block;
    json!({
        "ban": allocation.ban.as_str(),
        "invoice_type": block.invoice_type.code(),
        "year_month": block.period.year_month(),
        "invoice_track": block.track.as_str(),
        "invoice_begin_no": block.range.begin().to_string(),
        "invoice_end_no": block.range.end().to_string(),
        "invoice_booklet": block.range.booklets(),
        "requested_booklets": block.requested_booklets,
        "added_booklets": block.added_booklets,
    })
}

/// All stable columns of table `allocation`.
pub(super) fn allocation_row(row: &AllocationRow) -> Value {
    let mut value = allocation(&row.allocation);
    if let Value::Object(columns) = &mut value {
        columns.insert("id".to_owned(), json!(row.id));
        columns.insert("message_id".to_owned(), json!(row.message_id));
        columns.insert("imported_at".to_owned(), json!(row.imported_at.to_string()));
        let withdrawn_at = row.withdrawn_at.map(|at| at.to_string());
        columns.insert("withdrawn_at".to_owned(), json!(withdrawn_at));
    }
    value
}

/// A message that waits for a person.
pub(super) fn quarantined(row: &QuarantineRow) -> Value {
    let defect = |(code, detail): &(String, String)| json!({ "code": code, "detail": detail });
    json!({
        "id": row.id,
        "mailbox": row.mailbox,
        "received_at": row.received_at.to_string(),
        "from": row.from,
        "subject": row.subject,
        "defects": row.defects.iter().map(defect).collect::<Vec<_>>(),
    })
}

/// How one period of a company stands; `when` it is, and what people were told of it.
pub(super) fn due(company: &Company, due: &Due, when: &str, told: Option<&Alarm>) -> Value {
    let told = told.map(|alarm| {
        json!({
            "stage": alarm.stage.as_str(),
            "told_at": alarm.told_at.to_string(),
            "came_at": alarm.came_at.map(|at| at.to_string()),
        })
    });
    json!({
        "ban": company.ban.as_str(),
        "name": company.name,
        "assignment": company.assignment.as_str(),
        "year_month": due.period.year_month(),
        "when": when,
        "booklets": due.booklets,
        "expected_on": due.expected.map(|expected| expected.on.to_string()),
        "due_by": due.expected.map(|expected| expected.by.to_string()),
        "state": due.state.as_str(),
        "told": told,
    })
}

/// How a message waits for a resolver.
pub(super) fn wait(wait: &Wait) -> Value {
    json!({
        "since": wait.since.to_string(),
        "asked": wait.asked,
        "asked_at": wait.asked_at.to_string(),
        "next": wait.next_ask_at.to_string(),
        "words": wait.words,
    })
}

/// Defects or warnings as `{"code", "detail"}`; the detail is the English sentence.
pub(super) fn findings<Code: ToString>(findings: &[Finding<Code>]) -> Vec<Value> {
    findings
        .iter()
        .map(|finding| json!({ "code": finding.code.to_string(), "detail": finding.detail.en }))
        .collect()
}
