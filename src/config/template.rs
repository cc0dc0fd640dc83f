//! The file that `nightshelf config init` writes.

/// Every section with its defaults and what they mean. A test reads it back and finds the defaults.
pub const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_template_holds_the_defaults() {
        let mut config: Config = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(config.events.paths, ["events/"]);
        assert_eq!(config.catalog.path.as_deref(), Some("catalog.parquet"));
        config.events.paths.clear();
        config.catalog.path = None;
        assert_eq!(config, Config::default());
        config.check().unwrap();
    }

    #[test]
    fn what_is_commented_out_is_right_too() {
        let text: String = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        let config: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        config.check().unwrap();
        assert_ne!(config, toml::from_str(TEMPLATE).unwrap());
    }
}
