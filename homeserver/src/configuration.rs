//! The settings from file, environment and flags.

use std::path::PathBuf;

use pli_schema::config::{self, Config, ConfigError};

use crate::cli::SettingsArgs;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the configuration file {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it, in the environment or in the flags cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A flag is not `KEY=VALUE`.
    #[error("--set takes KEY=VALUE, not `{0}`")]
    Set(String),
}

/// Where the settings come from: kept, so that they can be read again on SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl Sources {
    /// The sources of a command line and an environment.
    ///
    /// # Errors
    /// [`SettingsError::Set`].
    pub fn new(
        args: &SettingsArgs,
        environment: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let mut flags = Vec::new();
        // Both programs take their log filter from `PLI_LOG`.
        let log = environment.iter().find(|(name, _)| name == "PLI_LOG");
        flags.extend(log.map(|(_, filter)| ("log.filter".to_owned(), filter.clone())));
        for item in &args.set {
            let (key, value) =
                item.split_once('=').ok_or_else(|| SettingsError::Set(item.clone()))?;
            flags.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        let named =
            [("server_name", args.server_name.clone()), ("data_dir", args.data_dir.clone())];
        flags.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        if !args.listen.is_empty() {
            flags.push(("listen".to_owned(), args.listen.join(",")));
        }
        Ok(Self { file: args.config.clone(), environment: environment.to_vec(), flags })
    }

    /// The settings as they are now.
    ///
    /// # Errors
    /// [`SettingsError`] for a file that cannot be read, unknown keys, wrong values.
    pub fn load(&self) -> Result<Config, SettingsError> {
        let text = match &self.file {
            None => None,
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|source| SettingsError::File { path: path.clone(), source })?,
            ),
        };
        Ok(config::load(text.as_deref(), &self.environment, &self.flags)?)
    }
}

/// The switches that weaken the server and are on, each with the key: for tests and benchmarks only,
/// so that everybody is told at the start.
#[must_use]
pub fn dangerous_switches(config: &Config) -> Vec<&'static str> {
    let relaxed = config.storage.durability == config::Durability::Relaxed;
    let test = &config.server.test_deployment;
    let private_provider = config.oauth.providers.iter().any(|it| it.allow_private_addresses);
    [
        (test.open_registration, "test_deployment.open_registration"),
        (test.guest_access, "test_deployment.guest_access"),
        (test.no_limits, "test_deployment.no_limits"),
        (test.private_addresses, "test_deployment.private_addresses"),
        (config.registration.shared_secret.is_some(), "registration.shared_secret"),
        (private_provider, "oauth.providers.allow_private_addresses"),
        (config.passwords.hashing.memory_kib < 7 * 1024, "passwords.hashing.memory_kib"),
        (config.federation.allow_private_addresses, "federation.allow_private_addresses"),
        (relaxed, "storage.durability = \"relaxed\""),
    ]
    .into_iter()
    .filter_map(|(is_on, key)| is_on.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_environment_are_read() {
        let args = SettingsArgs {
            server_name: Some("a.example".into()),
            listen: vec!["127.0.0.1:1".into(), "[::1]:1".into()],
            set: vec!["test_deployment.no_limits=true".into()],
            ..SettingsArgs::default()
        };
        let environment = vec![
            ("PLI_LOG".to_owned(), "debug".to_owned()),
            ("PLI_STORAGE__DURABILITY".to_owned(), "relaxed".to_owned()),
        ];
        let config = Sources::new(&args, &environment).unwrap().load().unwrap();
        assert_eq!(config.server.server_name, "a.example");
        assert_eq!(config.server.listen.0.len(), 2);
        assert_eq!(config.log.filter, "debug");
        assert_eq!(
            dangerous_switches(&config),
            ["test_deployment.no_limits", "storage.durability = \"relaxed\""]
        );
        assert!(dangerous_switches(&Config::default()).is_empty());
        let wrong = SettingsArgs { set: vec!["x".into()], ..SettingsArgs::default() };
        assert!(Sources::new(&wrong, &[]).is_err());
    }
}
