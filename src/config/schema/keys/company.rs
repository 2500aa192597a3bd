//! `[[company]]`, whose keys are also the columns of the `companies_file`.

use super::{ADDRESSES, SOME_ADDRESSES, Schema, TEXT, default, required, unless};

pub(in crate::config) const COMPANY: Schema = Schema {
    repeated: true,
    ..Schema::table(
        "company",
        "One for each company (營業人) whose notices you expect.",
        &[
            required(
                "ban",
                "8 digits in quotes, with a valid checksum",
                "The company's number (統一編號). Each stands once.",
            ),
            required(
                "name",
                TEXT,
                "Its registered name, exactly as a notice may write it between the parentheses.",
            ),
            default(
                "assignment",
                "`\"period\"`, `\"year\"` or `\"none\"`",
                "\"period\"",
                "How it is given numbers: 期配, 年配 or 停止使用. It decides what is due, and how \
                 far ahead a notice may reach (`period_too_far`).",
            ),
            default(
                "recipients",
                ADDRESSES,
                "[]",
                "The addresses registered with the platform under 取號Email維護: a notice that \
                 names no company is this one's when it was sent to one of them.",
            ),
            unless(
                "due_day",
                "20 to 28",
                "that of `[schedule]`",
                "This company's own; see `[schedule]`.",
            ),
            unless(
                "reminder_day",
                "1 to 19",
                "that of `[schedule]`",
                "This company's own; see `[schedule]`.",
            ),
            unless(
                "confirm_to",
                SOME_ADDRESSES,
                "those of `[mail]`",
                "Who gets what is recorded or withdrawn of this company, in place of those who get \
                 everybody's.",
            ),
            unless(
                "alert_to",
                SOME_ADDRESSES,
                "those of `[mail]`",
                "Who is reminded of this company's booklets (本數), and told that its numbers are \
                 overdue or have come after all, in place of those who get every alert. All other \
                 alerts go to the latter.",
            ),
        ],
    )
};
