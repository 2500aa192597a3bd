//! The pure core: what a mail says, and what follows from it.
//!
//! [`gate`] looks at a header and says whether the body is worth fetching. [`read`] turns bytes
//! into a [`Reading`]: tolerant in form. [`settle()`] turns a reading, what the ledger already
//! holds and the day into a [`Judgement`]: strict in meaning. Bad mail is data here, never an
//! error.
//!
//! Left out on purpose: I/O, clocks, logging, databases, and any proof that a mail is genuine.
//! The same bytes and the same circumstances always give the same judgement.

mod allocation;
mod ban;
mod charset;
mod defect;
mod draft;
mod envelope;
mod header;
mod html;
mod layout;
mod message;
mod period;
mod range;
mod reading;
mod rules;
mod sender;
mod settle;
mod syntax;
mod track;
mod transfer;

/// Layers below [`read`], opened for the fuzzer and for nobody else.
#[cfg(fuzzing)]
pub mod layers {
    /// The text, and whether every byte could be read.
    pub fn decoded(bytes: &[u8], label: Option<&str>) -> (String, bool) {
        let decoded = super::charset::decode(bytes, label);
        (decoded.text.into_owned(), decoded.clean)
    }

    /// A field such as Subject, decoded.
    pub fn unstructured(body: &[u8]) -> String {
        super::header::text(body)
    }
}

pub use self::{
    allocation::{Allocation, Block, FileKind, InvoiceType},
    ban::{Ban, BanError},
    defect::{Defect, DefectCode, Finding, Sentence, UnknownCode, Warning, WarningCode},
    draft::{period_as_written, shown},
    header::{Field, split},
    layout::Label,
    period::{Period, PeriodError},
    range::{BOOKLET, InvoiceNo, Range, RangeFault},
    reading::{Gate, OtherRow, Reading, author, gate, oversized, panicked, read, unfetchable},
    rules::{Assignment, Companies, Company, Rules},
    sender::{Address, AddressError},
    settle::{
        Authenticity, Circumstances, CompanySource, Disposition, Judged, Judgement, Recorded,
        Release, settle,
    },
    track::{Track, TrackError},
};
