//! The registration files of application services, read at the start.

use std::{fs, path::Path};

use pli_core::appservices::{FILE_BYTES_MAX, RegistrationFile, RegistrationText};

/// Registration files at most.
const FILES_MAX: usize = 200;

/// Reads the registration files of a directory, `*.yaml` and `*.yml`, in the order of their names.
///
/// # Errors
/// A text for the administrator.
pub fn read(directory: &Path) -> Result<Vec<RegistrationFile>, String> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        format!("application_services.directory: {}: {error}", path.display())
    };
    let mut paths = Vec::new();
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml")) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > FILES_MAX {
        return Err(unreadable(directory, &"too many registration files"));
    }
    let mut files = Vec::new();
    for path in paths {
        let size = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
        if usize::try_from(size).unwrap_or(usize::MAX) > FILE_BYTES_MAX {
            return Err(unreadable(&path, &"the file is larger than 1 MiB"));
        }
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(RegistrationFile { name, text: RegistrationText(text) });
    }
    Ok(files)
}
