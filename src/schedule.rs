//! What is due when. Pure: no clock, no ledger.

/// On which days of an even month things happen, Asia/Taipei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A notice that has not come by the end of this day is overdue; 20 to 28.
    pub due_day: i8,
    /// The reminder to change the number of booklets goes out on this day; 1 to 19.
    pub reminder_day: i8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            due_day: 25,
            reminder_day: 15,
        }
    }
}
