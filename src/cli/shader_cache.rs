//! Where compiled shaders are kept from run to run.

use crate::engine::gpu::ShaderCache;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names a folder of one's own for compiled shaders; `off` or nothing for none.
const VARIABLE: &str = "GRADSWEEP_SHADER_CACHE";

/// The cache of compiled shaders; none where it is switched off, or the user has no folder.
pub fn shader_cache() -> Option<Arc<ShaderCache>> {
    folder(&|name| env::var_os(name).map(PathBuf::from))
        .map(|folder| Arc::new(ShaderCache::new(&folder)))
}

/// The folder, in an environment.
fn folder(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(named) = variable(VARIABLE) {
        let is_off = named.as_os_str().is_empty() || named == Path::new("off");
        return (!is_off).then_some(named);
    }
    // Relative paths are to be ignored, says the XDG Base Directory Specification.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let of_platform = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(in_home)))
    };
    Some(of_platform?.join("gradsweep"))
}

#[cfg(all(test, unix, not(target_os = "macos")))]
mod tests {
    use super::folder;
    use std::path::PathBuf;

    fn of(variables: &[(&str, &str)]) -> Option<PathBuf> {
        folder(&|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v)))
    }

    #[test]
    fn folders_by_environment() {
        let home = ("HOME", "/home/u");
        let named = |value| [home, ("GRADSWEEP_SHADER_CACHE", value)];
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[home]), Some("/home/u/.cache/gradsweep".into()));
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "/c")]), Some("/c/gradsweep".into()));
        let relative = of(&[home, ("XDG_CACHE_HOME", "c")]);
        assert_eq!(relative, Some("/home/u/.cache/gradsweep".into()));
        assert_eq!(of(&named("/mine")), Some("/mine".into()));
        assert_eq!(of(&named("off")), None);
        assert_eq!(of(&named("")), None);
    }
}
