//! Companies in a CSV file: what a good one means, and what is wrong with any other.

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use invoice_trackd::{config::Config, notice::Assignment};
use tempfile::TempDir;

const MAIL: &str = "[mail]\nfrom = \"a@example.com\"\nalert_to = [\"b@example.com\"]\n\
                    transport = \"directory\"\ndirectory = \"/tmp/mail\"\n";

/// A configuration beside a companies file.
struct Desk {
    home: TempDir,
}

impl Desk {
    fn new(csv: impl AsRef<[u8]>) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("companies.csv"), csv).unwrap();
        Self { home }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("companies.csv")
    }

    /// What comes of the file, with `more` in the configuration.
    fn parse(&self, more: &str) -> Result<Config, String> {
        let text = format!("companies_file = \"companies.csv\"\n{more}");
        let config = Config::parse(&text, &self.home.path().join("config.toml"));
        let home = format!("{}/", self.home.path().display());
        config.map_err(|error| error.to_string().replace(&home, ""))
    }
}

fn parse(csv: impl AsRef<[u8]>) -> Result<Config, String> {
    Desk::new(csv).parse(MAIL)
}

fn complaint(csv: impl AsRef<[u8]>) -> String {
    parse(csv).err().unwrap_or_else(|| "(nothing)".to_owned())
}

const GOOD: &str = "\
reminder_day,name,ban,alert_to,recipients,due_day,confirm_to,assignment
,\"甲,乙商行\",04595257,,\"a@example.com, b@example.com\",,,
9, 第二公司 ,24634102,shop@example.com,C@example.com,22,x@example.com;y@example.com z@example.com,year

,第三公司,53567686,,,,,none
";

#[test]
fn every_cell_arrives_where_it_belongs_and_an_empty_one_means_the_default() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.companies_file.as_ref().unwrap().companies, 3);
    let companies: Vec<_> = config.rules.companies.iter().collect();
    let [first, second, third] = companies[..] else {
        panic!("three companies")
    };
    let words = |list: &[invoice_trackd::notice::Address]| {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        (first.ban.as_str(), first.name.as_str()),
        ("04595257", "甲,乙商行")
    );
    assert_eq!(words(&first.recipients), "a@example.com b@example.com");
    assert_eq!(first.assignment, Assignment::Period);
    assert_eq!((first.due_day, first.reminder_day), (None, None));
    assert_eq!(
        (words(&first.confirm_to), words(&first.alert_to)),
        Default::default()
    );
    assert_eq!(
        (second.ban.as_str(), second.name.as_str()),
        ("24634102", "第二公司")
    );
    assert_eq!(second.assignment, Assignment::Year);
    assert_eq!((second.due_day, second.reminder_day), (Some(22), Some(9)));
    assert_eq!(words(&second.recipients), "c@example.com");
    assert_eq!(
        words(&second.confirm_to),
        "x@example.com y@example.com z@example.com"
    );
    assert_eq!(words(&second.alert_to), "shop@example.com");
    assert_eq!(third.assignment, Assignment::None);
}

#[test]
fn what_spreadsheets_add_does_no_harm() {
    let expected = parse(GOOD).unwrap().rules;
    let windows = GOOD.replace('\n', "\r\n");
    let columns = GOOD
        .replace('\n', ",,\n")
        .replace("\n,,\n", "\n,,,,,,,,,\n");
    for file in [
        windows.clone(),
        format!("\u{feff}{windows}"),
        format!("\n\n{GOOD}\n \n"),
        GOOD.trim_end().to_owned(),
        columns,
    ] {
        assert_eq!(parse(&file).unwrap().rules, expected, "{file:?}");
    }
}

#[test]
fn the_file_and_the_tables_are_one_list_and_a_mailbox_may_name_any_of_it() {
    let table = "[[company]]\nban = \"22099131\"\nname = \" 丙　\"\n";
    let mailbox = |ban: &str| {
        format!(
            "[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"/m\"\ncompany = \"{ban}\"\n"
        )
    };
    let desk = Desk::new("ban,name\n04595257,甲\n24634102,乙\n");
    let config = desk
        .parse(&format!("{table}{}", mailbox("24634102")))
        .unwrap();
    let names: Vec<_> = config.rules.companies.iter().map(|one| &one.name).collect();
    assert_eq!(names, ["丙", "甲", "乙"]);
    let file = config.companies_file.unwrap();
    assert_eq!((file.path, file.companies), (desk.file(), 2));

    let unknown = desk.parse(&mailbox("53567686")).unwrap_err();
    assert!(
        unknown.starts_with("config.toml:6:11: mailbox.company: 53567686 is no configured company"),
        "{unknown}"
    );
    // What the file would have said is not known, so nothing is said of it.
    let broken = Desk::new("ban,name\n04595257,\n24634102,乙\n").parse(&mailbox("53567686"));
    assert_eq!(
        broken.unwrap_err(),
        "companies.csv:2:10: name: expected some text, found an empty cell"
    );
}

#[test]
fn a_path_is_absolute_or_begins_where_the_configuration_is() {
    let desk = Desk::new("ban,name\n04595257,甲\n");
    let absolute = format!("companies_file = \"{}\"", desk.file().display());
    let config = Config::parse(&absolute, "/elsewhere/config.toml".as_ref()).unwrap();
    assert_eq!(config.companies_file.unwrap().path, desk.file());
    fs::create_dir(desk.home.path().join("lists")).unwrap();
    fs::copy(desk.file(), desk.home.path().join("lists/a.csv")).unwrap();
    let config = desk.home.path().join("config.toml");
    Config::parse("companies_file = \"lists/a.csv\"", &config).unwrap();
}

/// Files whose mistakes stand in their own lines.
#[rustfmt::skip]
const MISTAKES: &[&str] = &[
    // The file as a whole.
    "",
    "\u{feff}\r\n\r\n",
    "ban,name,assignment\n",
    "ban;name;assignment\n53567686;甲;period\n",
    "ban\tname\n53567686\t甲\n",
    "ban,name\r53567686,甲\r",
    "53567686,甲,period\n24634102,乙,period\n",
    "統一編號,名稱\n53567686,甲\n",
    // Columns.
    "ban,nmae,colour,assignment\n53567686,甲,red,monthly\n",
    "BAN,Name\n53567686,甲\n",
    "assignment,due_day\nmonthly,31\n",
    "ban,name,ban\n53567686,甲,53567686\n",
    "ban,name,,\n53567686,甲,,\n24634102,乙,,丙\n",
    // Rows.
    "ban,name,assignment\n53567686,甲\n24634102,乙,year,,\n04595257,丙,year\n",
    "ban,name,recipients\n53567686,甲,a@example.com,b@example.com\n",
    // Quotes.
    "ban,name\n53567686,\"甲\n24634102,乙\n",
    "ban,name\n53567686,甲\"乙\"\n24634102,\"乙\" ,\n",
    "ban,name,recipients\n53567686,\"甲,\n24634102,乙,\"c@example.com\"\n1,2,3\n",
    // Numbers.
    "ban,name\n53567687,甲\n5356768,乙\n4595257,丙\n,丁\nx,戊\n5.4E+07,己\n595257,庚\n",
    "ban,name\n53567686,甲\n24634102,乙\n53567686,丙\n 53567686,丁\n",
    "name,ban\n\"甲\n乙\",53567686\n丙,53567686\n",
    // Other cells, several at once.
    "ban,name,assignment,recipients,due_day,reminder_day,confirm_to,alert_to\n\
     53567686,,monthly,a@example.com; b c@example.com,19,20,\"x, y@example.com\",統編@example.com\n\
     24634102,\"two\nlines\",期配,；a@example.com，,22.5,0,,\n\
     5,\"甲\",period,,,,,nobody\n",
];

#[test]
fn every_mistake_of_every_line_is_named_at_once_with_its_place() {
    let mut table = String::new();
    for csv in MISTAKES {
        let shown = csv
            .replace('\r', "␍")
            .replace('\t', "→")
            .replace('\u{feff}', "BOM");
        writeln!(table, "{}", shown.trim_end()).unwrap();
        for line in complaint(csv).lines() {
            writeln!(table, "    {line}").unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_file_in_another_charset_is_told_how_to_be_saved() {
    let big5 = encoding_rs::BIG5
        .encode("ban,name\r\n53567686,雲端\r\n")
        .0
        .into_owned();
    assert!(complaint(big5).starts_with(
        "companies.csv:2:10: expected text in UTF-8, found Big5; in Excel save it as \"CSV UTF-8\""
    ));
    let utf16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let text = "\u{feff}ban\tname\r\n".encode_utf16();
        text.flat_map(bytes).collect()
    };
    for text in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        assert!(
            complaint(text)
                .starts_with("companies.csv:1:1: expected text in UTF-8, found UTF-16; ")
        );
    }
    assert!(
        complaint(b"ban,name\n\xff\xff\xff,a\n")
            .starts_with("companies.csv:2:1: expected text in UTF-8, found other bytes; ")
    );
}

#[test]
fn a_number_that_a_spreadsheet_may_have_shortened_is_asked_about() {
    for (number, question) in [
        ("4595257", "dropped the 0 of `04595257`?"),
        ("1234567", "dropped a 0 at the beginning?"),
    ] {
        let complaint = complaint(format!("ban,name\n{number},a\n"));
        assert!(complaint.contains(question), "{complaint}");
    }
    assert!(!complaint("ban,name\n123456,a\n").contains("spreadsheet"));
}

#[test]
fn a_company_of_both_is_refused_with_both_places() {
    let desk = Desk::new("name,ban\n甲乙丙,53567686\n");
    let table = "[[company]]\nban = \"53567686\"\nname = \"a\"\n";
    assert_eq!(
        desk.parse(table).unwrap_err(),
        "companies.csv:2:5: 53567686 is configured already, on line 3 of config.toml"
    );
}

#[test]
fn who_would_be_told_by_nobody_is_refused_once_for_each_column() {
    let csv = "ban,name,confirm_to,alert_to\n04595257,甲,,\n24634102,乙,,b@example.com\n\
               53567686,丙,c@example.com,d@example.com\n";
    let untold = "there is no [mail], so nobody would be told; add it, or take this out";
    assert_eq!(
        Desk::new(csv).parse("").unwrap_err(),
        format!("companies.csv:3:13: alert_to: {untold}\ncompanies.csv:4:12: confirm_to: {untold}")
    );
    Desk::new("ban,name,confirm_to,alert_to\n04595257,甲,,\n")
        .parse("")
        .unwrap();
}

#[test]
fn the_configurations_own_mistakes_come_first() {
    let desk = Desk::new("ban,name\n1,甲\n");
    let both = desk.parse("[schedule]\ndue_day = 31\n").unwrap_err();
    let lines: Vec<_> = both
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(lines, ["config.toml:3:11:", "companies.csv:2:1:"]);
}

#[test]
fn a_file_that_cannot_be_read_or_that_others_may_write_says_so_where_it_is_named() {
    let desk = Desk::new("ban,name\n04595257,甲\n");
    fs::set_permissions(desk.file(), Permissions::from_mode(0o646)).unwrap();
    assert_eq!(
        desk.parse("").unwrap_err(),
        "config.toml:1:18: companies_file: companies.csv: expected a file that others may not \
         write, found mode 0646; run `chmod o-w companies.csv`"
    );
    fs::remove_file(desk.file()).unwrap();
    assert_eq!(
        desk.parse("").unwrap_err(),
        "config.toml:1:18: companies_file: read companies.csv: No such file or directory (os error 2)"
    );
    fs::create_dir(desk.file()).unwrap();
    assert_eq!(
        desk.parse("").unwrap_err(),
        "config.toml:1:18: companies_file: read companies.csv: expected a file, found a directory, \
         a device or a pipe"
    );
}

#[test]
fn a_mistake_in_every_one_of_a_hundred_thousand_lines_is_named_in_good_time() {
    let mut csv = String::from("ban,name\n53567686,a\n");
    for _ in 0..100_000 {
        csv.push_str("53567686,a\n");
    }
    // Were lines counted from the beginning for each, this would take hours.
    let words = complaint(csv);
    assert_eq!(words.lines().count(), 100_000);
    let last = "companies.csv:100002:1: 53567686 is configured already, on line 2";
    assert_eq!(words.lines().last().unwrap(), last);
}

#[test]
fn in_a_journal_very_many_mistakes_are_counted() {
    let wrong = |lines: usize| {
        let desk = Desk::new(format!("ban,name\n{}", "1,a\n".repeat(lines)));
        let named = "companies_file = \"companies.csv\"";
        Config::parse(named, &desk.home.path().join("config.toml")).unwrap_err()
    };
    let few = wrong(20);
    assert_eq!(few.in_short(), few.to_string());
    let many = wrong(5_000).in_short();
    assert_eq!(many.lines().count(), 21);
    assert!(
        many.ends_with("\nand 4980 more mistakes; `invoice-trackd check` names them all"),
        "{many}"
    );
}
