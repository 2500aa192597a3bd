//! Companies by the thousand in a file: what `check` shows of them, how a running daemon takes a
//! changed file over, and whom it tells when nothing comes for any of them.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, sync::Arc};

use invoice_trackd::{
    clock::Clock,
    config::Config,
    daemon::{Expectations, Keeper},
    delivery::{Dispatcher, Wake},
    http::Vitals,
    ledger::{Cause, Ledger},
    notice::Ban,
};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::support::{
    daemon::{House, MAIL, Notice, Running, Systemd, maildir},
    outbox::did,
};

/// Valid numbers, in order.
fn bans(count: usize) -> Vec<Ban> {
    let numbers = (10_000_000_u32..).map(|number| number.to_string());
    numbers
        .filter_map(|number| number.parse().ok())
        .take(count)
        .collect()
}

/// A configuration that names `companies.csv` beside it, with mail into the directory `sent`.
fn house(csv: &str) -> House {
    let house = House::new("");
    let text = format!(
        "companies_file = \"companies.csv\"\n[ledger]\nurl = \"sqlite://@ROOT@/ledger.db\"\n\
         [authenticity]\nrequire = \"none\"\n[[mailbox]]\nname = \"first\"\nkind = \"maildir\"\n\
         path = \"@ROOT@/first\"\n{MAIL}"
    );
    let root = house.root.path().to_str().unwrap().to_owned();
    house.write("config.toml", text.replace("@ROOT@", &root));
    house.write("companies.csv", csv);
    maildir(&house.path("first"));
    fs::create_dir(house.path("sent")).unwrap();
    house
}

fn checked(house: &House) -> String {
    let output = house.command(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.replace(house.root.path().to_str().unwrap(), "/home")
}

#[test]
fn check_shows_a_few_companies_whole_and_of_many_the_first_and_how_many() {
    let few = "ban,name,assignment,due_day,confirm_to,alert_to\n\
               53567686,雲端行動科技股份有限公司,,,,\n\
               24634102,第二公司,year,22,a@example.com b@example.com,c@example.com\n";
    let mut many = few.to_owned();
    for (number, ban) in (3..).zip(bans(4_998)) {
        let assignment = if number % 10 == 0 { "none" } else { "period" };
        writeln!(many, "{ban},第{number}公司,{assignment},,,").unwrap();
    }
    insta::assert_snapshot!(format!(
        "{}\n{}",
        checked(&house(few)),
        checked(&house(&many))
    ));
}

/// Says that the configuration has changed, and waits until it has been looked at.
fn reload(daemon: &Running, systemd: &Systemd) {
    daemon.reload();
    systemd.until(|word| word.starts_with("RELOADING=1"));
    systemd.until(|word| word == "READY=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_over_by_a_reload_and_a_broken_one_changes_nothing() {
    let house = house("ban,name\n24634102,第二公司\n");
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    systemd.until(|word| word == "READY=1");
    let arrives = |track: &'static str| {
        let notice = Notice {
            track,
            message_id: track,
            ..Notice::default()
        };
        house.write(&format!("first/new/{track}.host"), notice.eml());
    };
    arrives("EC");
    house
        .until("a notice of nobody's is quarantined", || async {
            house.messages("quarantined").await == 1
        })
        .await;

    house.write(
        "companies.csv",
        "ban,name\n53567686,新公司\n24634102,第二公司\n",
    );
    reload(&daemon, &systemd);
    arrives("ED");
    house
        .until("the new company's notice is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;

    // Without the new company, were it not for the mistake.
    house.write(
        "companies.csv",
        "ban,name\n24634102,第二公司\n4595257,第三公司\n",
    );
    reload(&daemon, &systemd);
    let log = house.log();
    let place = house.path("companies.csv:3:1: ban: expected the 8 digits");
    let complaint = format!(
        "configuration not reloaded, all goes on as before: {}",
        place.display()
    );
    assert!(log.contains(&complaint), "{log}");
    arrives("EE");
    house
        .until("all goes on as before", || async {
            house.allocations().await.len() == 2
        })
        .await;
    assert_eq!(house.messages("quarantined").await, 1);
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// The mails in a directory: to whom, and which of these companies each names.
fn mails(directory: &Path, of: &BTreeSet<Ban>) -> Vec<(String, String, BTreeSet<Ban>)> {
    let mut mails: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let eml = fs::read(entry.unwrap().path()).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            let to = mail
                .to()
                .unwrap()
                .first()
                .unwrap()
                .address()
                .unwrap()
                .to_owned();
            let text = mail.body_text(0).unwrap().into_owned();
            let words = text.split(|c: char| !c.is_ascii_digit());
            let named = words.filter_map(|word| word.parse().ok());
            let named = named.filter(|ban| of.contains(ban)).collect();
            (to, format!("{}\n{text}", mail.subject().unwrap()), named)
        })
        .collect();
    mails.sort();
    mails
}

#[tokio::test]
async fn five_thousand_that_are_overdue_are_one_mail_and_those_with_readers_of_their_own_another() {
    let bans = bans(5_000);
    let mut csv = String::from("ban,name,alert_to\n");
    for (number, ban) in bans.iter().enumerate() {
        let own = match number {
            0 | 4_999 => "shop@example.com",
            1 => "boss@example.com; shop@example.com",
            _ => "",
        };
        writeln!(csv, "{ban},第{number}公司,{own}").unwrap();
    }
    let house = house(&csv);
    let config = Config::load(&house.path("config.toml")).unwrap();
    // Next period's numbers (115/03-04) are due by the end of 25 February.
    let ledger = Ledger::open(&config.ledger, at("2026-01-05T00:00:00Z"))
        .await
        .unwrap();
    let expected = Expectations {
        companies: config.rules.companies.clone(),
        days: config.schedule,
    };
    let now = at("2026-02-26T01:00:00Z");
    let mut keeper = Keeper::new(
        ledger.clone(),
        Clock::manual(now),
        Wake::default(),
        watch::Sender::new(Vitals::default()),
    );
    keeper.awaits(watch::channel(Arc::new(expected)).1);
    keeper.run_once(&config.style, now).await.unwrap();

    let mut transaction = ledger.begin().await.unwrap();
    let news = transaction.pending::<Cause>().await.unwrap();
    drop(transaction);
    let mut told: Vec<(String, usize)> = news
        .iter()
        .map(|piece| match &piece.cause {
            Cause::NoticeOverdue(overdue) => (overdue.to.join(" "), overdue.companies.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    told.sort();
    let of = |to: &str, companies| (to.to_owned(), companies);
    let own = [
        of("boss@example.com shop@example.com", 1),
        of("shop@example.com", 2),
    ];
    assert_eq!(told, [&[of("", 4_997)], &own[..]].concat());

    let dispatcher = Dispatcher {
        ledger: ledger.clone(),
        transport: config.transport().unwrap().unwrap(),
        style: config.style.clone(),
        patience: config.patience,
    };
    let pass = dispatcher.run_once(now).await.unwrap();
    assert_eq!(did(&pass), (3, 0, 0));
    let known: BTreeSet<Ban> = bans.iter().copied().collect();
    let mails = mails(&house.path("sent"), &known);
    let [
        (first, boss, of_boss),
        (second, all, of_all),
        (third, shop, of_shop),
    ] = &mails[..]
    else {
        panic!("{} mails", mails.len());
    };
    assert_eq!(
        [first, second, third],
        ["boss@example.com", "oncall@example.com", "shop@example.com"]
    );
    // 50 in a table, and the rest counted.
    assert_eq!(of_all.len(), 50, "{all}");
    let plain = all.replace(',', "");
    assert!(plain.contains("4997") && plain.contains("4947"), "{all}");
    let [ones, twos] = [[1].as_slice(), &[0, 4_999]]
        .map(|own| own.iter().map(|at| bans[*at]).collect::<BTreeSet<_>>());
    assert_eq!(of_boss, &ones, "{boss}");
    assert_eq!(of_shop, &twos, "{shop}");
    assert!(
        of_all.is_disjoint(&ones) && of_all.is_disjoint(&twos),
        "{all}"
    );

    // Told once.
    let later = at("2026-02-26T02:00:00Z");
    keeper.run_once(&config.style, later).await.unwrap();
    assert_eq!(did(&dispatcher.run_once(later).await.unwrap()), (0, 0, 0));
    ledger.close().await;
}
