//! Any walk through time, forth and back, with numbers that come and are withdrawn.

use super::*;

/// So many minutes after the beginning of 2026.
fn moment(minutes: i64) -> DateTime {
    datetime(2026, 1, 1, 0, 0, 0, 0).saturating_add(minutes.minutes())
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let assignment = prop_oneof![
        4 => Just(Assignment::Period),
        4 => Just(Assignment::Year),
        1 => Just(Assignment::None),
    ];
    (assignment, 20..=28_i8, 1..=19_i8, 0..900_i64).prop_map(
        |(assignment, due_day, reminder_day, since)| Terms {
            assignment,
            days: Settings {
                due_day,
                reminder_day,
            },
            watched_since: moment((since - 300) * 24 * 60).date(),
        },
    )
}

/// From one look to the next.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, minutes.
    On(i64),
    /// The clock is set, to minutes after the beginning.
    Set(i64),
    /// The numbers of that period, counted from 2026, come or are withdrawn.
    Turn(usize),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (1..4_000_i64).prop_map(Step::On),
        4 => (1..80_000_i64).prop_map(Step::On),
        2 => (0..1_200_000_i64).prop_map(Step::Set),
        4 => (0..14_usize).prop_map(Step::Turn),
    ];
    vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_stage_is_called_twice_nor_after_a_later_one_nor_for_what_has_come(
        terms in any_terms(),
        steps in any_steps(),
    ) {
        let first = Period::containing(date(2026, 1, 1));
        let periods: Vec<Period> =
            std::iter::successors(Some(first), |one| Some(one.next())).take(14).collect();
        let (mut now, mut recorded, mut told) = (moment(0), Booklets::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::On(minutes) => now = now.saturating_add(minutes.minutes()),
                Step::Set(minutes) => now = moment(minutes),
                Step::Turn(which) => {
                    if recorded.remove(&periods[which]).is_none() {
                        recorded.insert(periods[which], 1);
                    }
                }
            }
            let running = Period::containing(now.date());
            let calls = terms.calls(&recorded, &told, now);
            let called: BTreeSet<Awaited> = calls.iter().map(|call| call.awaited).collect();
            prop_assert_eq!(called.len(), calls.len(), "one call for each at most");
            prop_assert!(calls.len() <= 2);
            for call in calls {
                prop_assert!(told.get(&call.awaited).is_none_or(|told| *told < call.stage));
                prop_assert!(call.awaited.earliest(call.stage) <= now);
                prop_assert!(!call.missing.is_empty());
                for missing in &call.missing {
                    prop_assert!(!recorded.contains_key(missing) && *missing >= running);
                }
                if call.stage == Stage::Reminder {
                    prop_assert!(now.day() < 20 && now.day() >= terms.days.reminder_day);
                    prop_assert_eq!(call.awaited, Awaited::Period(running.next()));
                } else {
                    prop_assert!(now.date() > call.due_by, "before the due day is over");
                }
                told.insert(call.awaited, call.stage);
                // Looked at again, all is said.
                prop_assert!(terms.calls(&recorded, &told, now).iter().all(|again| again.awaited != call.awaited));
            }
        }
    }

    #[test]
    fn whoever_looks_often_enough_calls_every_stage_of_silence_once(
        due_day in 20..=28_i8,
        reminder_day in 1..=19_i8,
        steps in vec(1..700_i64, 400..401),
        start in 0..1_700_i64,
    ) {
        // Any period of 2026 to 2030, looked at from its reminder on in steps of half a day at most.
        let first = Period::containing(moment(start * 24 * 60).date());
        let silent = first.next();
        let terms = days(due_day, reminder_day);
        let (mut told, mut heard) = (BTreeMap::new(), Vec::new());
        let mut now = first_day(first).saturating_add(1.month()).to_datetime(Time::midnight());
        let recorded = Booklets::from([(first, 1)]);
        for step in steps {
            for call in terms.calls(&recorded, &told, now) {
                if call.awaited == Awaited::Period(silent) {
                    heard.push(call.stage);
                }
                told.insert(call.awaited, call.stage);
            }
            now = now.saturating_add(step.minutes());
        }
        // A morning before the last day is there for each stage but in a February with a late due day.
        let last = first_day(silent).yesterday().unwrap().day();
        let mut expected = vec![Stage::Reminder];
        expected.extend((due_day + 1 < last).then_some(Stage::Overdue));
        expected.extend((due_day < last).then_some(Stage::LastDay));
        expected.push(Stage::FirstDay);
        prop_assert_eq!(heard, expected);
    }
}
