//! What many companies cost: loading them from a file, looking once at what is due for each, judging
//! one notice. `cargo bench --bench companies [COUNT…]`; 50, 5,000, 50,000 and 600,000 unless told.
//!
//! Each count has a process of its own, whose memory is looked at, and a ledger in which every
//! company has numbers for two periods and has been reminded of the next. A figure is the median of
//! several runs by the clock on the wall. Left out on purpose: mail and sending, which do not grow
//! with the companies.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

use std::{
    collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command, sync::Arc,
    time::Instant,
};

use invoice_trackd::{
    clock::Clock,
    config::Config,
    daemon::{Expectations, Keeper},
    delivery::Wake,
    http::Vitals,
    ledger::Ledger,
    notice::{Authenticity, Ban, Circumstances, CompanySource, Period, Rules, read, settle},
    schedule::{Booklets, Terms},
};
use jiff::{Timestamp, civil::Date};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::watch;

const COUNTS: [usize; 4] = [50, 5_000, 50_000, 600_000];
const RUNS: usize = 5;

/// 16 August 2026, 10:00 in Taipei: the day after the reminder, in the period 115/07-08.
const NOW: &str = "2026-08-16T02:00:00Z";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, count] = arguments.as_slice()
        && word == "measure"
    {
        measure(count.parse().unwrap());
        return;
    }
    let asked: Vec<usize> = arguments
        .iter()
        .filter_map(|word| word.parse().ok())
        .collect();
    let counts = if asked.is_empty() {
        COUNTS.to_vec()
    } else {
        asked
    };
    println!(
        "{:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
        "companies",
        "CSV MiB",
        "load ms",
        "held MiB",
        "peak MiB",
        "ledger ms",
        "due ms",
        "look ms",
        "address µs",
        "name µs"
    );
    for count in counts {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["measure", &count.to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "it did not end well: {said}");
        print!("{}", String::from_utf8(output.stdout).unwrap());
    }
}

/// Valid numbers, in order.
fn bans(count: usize) -> Vec<Ban> {
    let numbers = (10_000_000_u32..).map(|number| number.to_string());
    numbers
        .filter_map(|number| number.parse().ok())
        .take(count)
        .collect()
}

fn name(number: usize) -> String {
    format!("第{number:06}號測試股份有限公司")
}

/// The median of several runs in milliseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            run();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

fn measure(count: usize) {
    let bans = bans(count);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let ledger = home.path().join("ledger.db");
    let url = format!("sqlite://{}", ledger.display());
    let toml = format!("companies_file = \"companies.csv\"\n[ledger]\nurl = \"{url}\"\n");
    fs::write(&file, toml).unwrap();
    let mut csv = String::from("ban,name,assignment,recipients,confirm_to,alert_to\n");
    for (number, ban) in bans.iter().enumerate() {
        let name = name(number);
        writeln!(csv, "{ban},{name},period,numbers{number}@example.com,,").unwrap();
    }
    let mebibytes = csv.len() as f64 / 1_048_576.0;
    fs::write(home.path().join("companies.csv"), csv).unwrap();

    let before = kibibytes("VmRSS");
    let config = Config::load(&file).unwrap();
    let held = (kibibytes("VmRSS") - before) as f64 / 1024.0;
    let peak = (kibibytes("VmHWM") - before) as f64 / 1024.0;
    let loading = median(|| drop(Config::load(&file).unwrap()));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let running = Period::containing(now.in_tz("Asia/Taipei").unwrap().date());
    let ledger = runtime.block_on(filled(&ledger, &url, &bans));
    let asking = median(|| {
        runtime.block_on(async {
            let alarms = ledger.alarms(running).await.unwrap();
            let booklets = ledger.booklets(running.previous()).await.unwrap();
            assert_eq!((alarms.len(), booklets.len()), (count, count));
        });
    });
    let (alarms, booklets) = runtime.block_on(async {
        let booklets = ledger.booklets(running.previous()).await.unwrap();
        (ledger.alarms(running).await.unwrap(), booklets)
    });
    let since = Date::constant(2026, 1, 5);
    let time = now.in_tz("Asia/Taipei").unwrap().datetime();
    let reckoning = median(|| {
        for company in config.rules.companies.iter() {
            let recorded: &Booklets = &booklets[&company.ban];
            let told: BTreeMap<_, _> = alarms[&company.ban]
                .iter()
                .map(|(awaited, alarm)| (*awaited, alarm.stage))
                .collect();
            let terms = Terms::of(company, config.schedule, since);
            assert!(terms.calls(recorded, &told, time).is_empty());
            assert!(!terms.outlook(recorded, time.date()).is_empty());
        }
    });
    drop((alarms, booklets));

    let expected = Expectations {
        companies: config.rules.companies.clone(),
        days: config.schedule,
    };
    let mut keeper = Keeper::new(
        ledger.clone(),
        Clock::manual(now),
        Wake::default(),
        watch::Sender::new(Vitals::default()),
    );
    keeper.awaits(watch::channel(Arc::new(expected)).1);
    let looking = median(|| {
        runtime
            .block_on(keeper.run_once(&config.style, now))
            .unwrap()
    });

    let last = count - 1;
    let by_address = judging(&config.rules, "", &format!("numbers{last}@example.com"));
    let by_name = judging(&config.rules, &name(last), "somebody@example.com");
    println!(
        "{count:>9} {mebibytes:>8.1} {loading:>9.1} {held:>9.1} {peak:>9.1} {asking:>9.1} \
         {reckoning:>9.2} {looking:>9.1} {by_address:>10.1} {by_name:>10.1}"
    );
}

/// A ledger in which each company has numbers for two periods and has been reminded of the third.
async fn filled(path: &Path, url: &str, bans: &[Ban]) -> Ledger {
    let created = "2026-01-05T00:00:00Z".parse().unwrap();
    let ledger = Ledger::open(path, created).await.unwrap();
    let mut sql = SqliteConnection::connect(url).await.unwrap();
    let bans: Vec<&str> = bans.iter().map(Ban::as_str).collect();
    let bans = serde_json::to_string(&bans).unwrap();
    sqlx::raw_sql(
        "INSERT INTO message (id, sha256, disposition, received_at, file, size, subject)
         VALUES (1, printf('%064d', 1), 'imported', '2026-04-20T01:00:00.000Z', 'bench', 1, '')",
    )
    .execute(&mut sql)
    .await
    .unwrap();
    for year_month in ["11506", "11508"] {
        sqlx::query(
            "INSERT INTO allocation (ban, invoice_type, year_month, invoice_track,
                 invoice_begin_no, invoice_end_no, invoice_booklet, message_id, imported_at, source)
             SELECT value, '07', ?1, 'A' || char(65 + key / 1000000 + 13 * (?1 = '11508')),
                 printf('%08d', key % 1000000 * 100), printf('%08d', key % 1000000 * 100 + 99), 2,
                 1, '2026-04-20T01:00:00.000Z', 'mail'
             FROM json_each(?2)",
        )
        .bind(year_month)
        .bind(&bans)
        .execute(&mut sql)
        .await
        .unwrap();
    }
    sqlx::query(
        "INSERT INTO alarm (ban, awaited, stage, told_at)
         SELECT value, '11510', 'reminder', '2026-08-15T01:00:00.000Z' FROM json_each(?)",
    )
    .bind(&bans)
    .execute(&mut sql)
    .await
    .unwrap();
    sql.close().await.unwrap();
    ledger
}

/// How long it takes to settle one notice that names its company so, µs.
fn judging(rules: &Rules, addressee: &str, recipient: &str) -> f64 {
    const NOTICES: usize = 1_000;
    let mail = format!(
        "From: einvoice@einvoice.nat.gov.tw\r\nTo: {recipient}\r\n\
         Subject: =?UTF-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+l?=\r\n\
         Message-ID: <1@einvoice.nat.gov.tw>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         貴公司({addressee})申請之財政部電子發票字軌已配號完成，配號資料如下：\r\n\
         字軌名稱：EC\r\n發票期別：115/09 - 115/10\r\n發票類別：一般稅額計算\r\n\
         申請本數：0\r\n增加本數：128\r\n發票起號：22628000\r\n發票迄號：22634399\r\n"
    );
    let reading = read(mail.as_bytes(), rules);
    let given = Circumstances {
        rules,
        mailbox_company: None,
        authenticity: &Authenticity::Proven { signed: None },
        neighbours: &[],
        today: Date::constant(2026, 8, 16),
        release: None,
    };
    let expected = match addressee {
        "" => CompanySource::Recipient,
        _ => CompanySource::Name,
    };
    let milliseconds = median(|| {
        for _ in 0..NOTICES {
            let judgement = settle(&reading, &given);
            assert_eq!(judgement.company.map(|(_, source)| source), Some(expected));
        }
    });
    milliseconds * 1e3 / NOTICES as f64
}

fn kibibytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
