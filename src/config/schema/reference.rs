//! The schema as a page for people.

use super::{Fallback, Key, keys};

/// Every table and key of the configuration in Markdown, as `docs/configuration.md` shows them.
pub fn reference() -> String {
    let mut page = String::new();
    for schema in keys::ALL {
        match schema.path {
            "" => page.push_str("## At the top of the file\n"),
            _ => page.push_str(&format!("## `{}`\n\n{}\n", schema.header(), schema.about)),
        }
        page.push_str("\n| key | form | default | what it is for |\n|---|---|---|---|\n");
        for Key {
            name,
            form,
            default,
            about,
        } in schema.keys
        {
            let default = match default {
                Fallback::Value(value) => format!("`{value}`"),
                Fallback::Words(words) => (*words).to_owned(),
            };
            page.push_str(&format!("| `{name}` | {form} | {default} | {about} |\n"));
        }
        page.push('\n');
    }
    page
}
