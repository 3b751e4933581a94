//! Compiled shaders on disk change no bit, whatever is in the folder.
//!
//! Software adapters give no compiled shaders out, but headers, which are kept here, too: they take the
//! same way to disk and back into the driver.

mod gpu_adapter;

use gpu_adapter::adapter;
use gradsweep::engine::Engine;
use gradsweep::engine::gpu::{Adapter, DeviceOptions, GpuEngine, ShaderCache};
use gradsweep::index::ParameterIdx;
use gradsweep::model;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, PointResult, Settings, StepMode, no_refinement};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Shaders of the problem below: base lanes, probes, tangents.
const SHADERS: usize = 3;

fn open(adapter: &Adapter, cache: Option<&Arc<ShaderCache>>) -> GpuEngine {
    let options = DeviceOptions { shader_cache: cache.cloned(), ..DeviceOptions::default() };
    GpuEngine::open_with(adapter, &options).unwrap()
}

fn evaluate(engine: &GpuEngine) -> Vec<PointResult> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    let problem = model::load(&folder).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let evaluator = Evaluator::new(&problem, settings, engine, Some(engine)).unwrap();
    let points = startpoints::random(&problem.parameters, 10, 0, 3).unwrap().theta_scaled;
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    evaluator.evaluate(&points, &parameters, &[1e-3], &no_refinement).unwrap().points
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn cache(folder: &Path) -> Arc<ShaderCache> {
    Arc::new(ShaderCache::new(folder).with_headers())
}

/// Evaluates with what is in the folder. Gives the results, and how many shaders were found and written.
fn run(adapter: &Adapter, folder: &Path) -> (Vec<PointResult>, (usize, usize)) {
    let cache = cache(folder);
    let engine = open(adapter, Some(&cache));
    assert!(engine.describe().contains("compiled shaders kept"), "{}", engine.describe());
    let results = evaluate(&engine);
    (results, cache.counts())
}

#[test]
fn a_second_run_finds_what_the_first_wrote() {
    let Some(adapter) = adapter() else { return };
    let expected = evaluate(&open(&adapter, None));
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("not/there/yet");
    assert_eq!(run(&adapter, &inside), (expected.clone(), (0, SHADERS)));
    let written: Vec<Vec<u8>> = files(&inside).iter().map(|f| fs::read(f).unwrap()).collect();
    assert_eq!(written.len(), SHADERS);
    assert_eq!(run(&adapter, &inside), (expected, (SHADERS, 0)));
    let after: Vec<Vec<u8>> = files(&inside).iter().map(|f| fs::read(f).unwrap()).collect();
    assert_eq!(after, written);
}

#[test]
fn damaged_files_are_made_anew() {
    let Some(adapter) = adapter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (expected, _) = run(&adapter, folder.path());
    let whole: Vec<Vec<u8>> = files(folder.path()).iter().map(|f| fs::read(f).unwrap()).collect();
    let middle = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        bytes
    };
    let first = |bytes: &[u8]| [&[bytes[0] ^ 1], &bytes[1..]].concat();
    type Damage<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let damages: [(&str, Damage<'_>); 6] = [
        ("empty", &|_| Vec::new()),
        ("short", &|bytes| bytes[..bytes.len() - 1].to_vec()),
        ("long", &|bytes| [bytes, b"\n"].concat()),
        ("a bit in the middle", &middle),
        ("a bit at the start", &first),
        ("something else", &|_| b"{\"a\": 1}".repeat(1000)),
    ];
    for (what, damage) in damages {
        for (file, bytes) in files(folder.path()).iter().zip(&whole) {
            fs::write(file, damage(bytes)).unwrap();
        }
        assert_eq!(run(&adapter, folder.path()), (expected.clone(), (0, SHADERS)), "{what}");
        // Made anew, if not to the byte: drivers may give other bytes for what they have seen before.
        assert_eq!(run(&adapter, folder.path()), (expected.clone(), (SHADERS, 0)), "{what}");
    }
}

/// Files that are whole, but hold what wgpu gave in another version, or for another device.
#[test]
fn what_the_driver_refuses_is_made_anew() {
    let Some(adapter) = adapter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (expected, _) = run(&adapter, folder.path());
    let all = files(folder.path());
    let whole: Vec<Vec<u8>> = all.iter().map(|f| fs::read(f).unwrap()).collect();
    for (file, bytes) in all.iter().zip(&whole) {
        let start = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        let mut content = bytes[start + 32..].to_vec();
        assert!(content.starts_with(b"WGPU"), "the content is wgpu's");
        // Its version.
        content[8] ^= 0xff;
        let digest = Sha256::digest(&content);
        fs::write(file, [&bytes[..start], &digest[..], &content].concat()).unwrap();
    }
    // All are found, and none is of use.
    assert_eq!(run(&adapter, folder.path()), (expected.clone(), (SHADERS, SHADERS)));
    // Made anew, and of use.
    assert_eq!(run(&adapter, folder.path()), (expected, (SHADERS, 0)));
}

#[test]
fn a_folder_that_cannot_be_used_is_named_and_costs_nothing() {
    let Some(adapter) = adapter() else { return };
    let expected = evaluate(&open(&adapter, None));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut bad = vec![(file.join("below"), "compiled shaders not kept")];
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open_to_all = folder.path().join("open");
        fs::create_dir(&open_to_all).unwrap();
        fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).unwrap();
        bad.push((open_to_all, "others may write there"));
    }
    for (path, words) in bad {
        let cache = cache(&path);
        let engine = open(&adapter, Some(&cache));
        let said = engine.describe();
        let name = path.display().to_string();
        assert!(said.contains(words) && said.contains(&name), "{said}");
        // What digits depend on has nothing to do with it.
        assert_eq!(engine.identity(), open(&adapter, None).identity());
        assert_eq!(evaluate(&engine), expected);
        assert_eq!(cache.counts(), (0, 0));
    }
}

#[cfg(unix)]
#[test]
fn the_folder_is_the_users_own() {
    use std::os::unix::fs::PermissionsExt;
    let Some(adapter) = adapter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("shaders");
    run(&adapter, &inside);
    assert_eq!(fs::metadata(&inside).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_oldest_files_go() {
    let Some(adapter) = adapter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.shader");
    fs::write(&old, vec![0; 4096]).unwrap();
    let another = folder.path().join("another");
    let (expected, _) = run(&adapter, &another);
    let needed: u64 = files(&another).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    // Room for what this run writes, and for half of the old one beside it.
    let most_bytes = needed + 2048;
    let cache =
        Arc::new(ShaderCache::new(folder.path()).with_headers().with_most_bytes(most_bytes));
    assert_eq!(evaluate(&open(&adapter, Some(&cache))), expected);
    assert_eq!(cache.counts(), (0, SHADERS));
    assert!(!old.exists());
    let kept = files(folder.path()).into_iter().filter(|path| path.is_file()).count();
    assert_eq!(kept, SHADERS);
}

/// A driver that gives nothing is not said to have kept something.
#[test]
fn what_is_said_agrees_with_what_is_kept() {
    let Some(adapter) = adapter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("shaders");
    let cache = Arc::new(ShaderCache::new(&inside));
    let engine = open(&adapter, Some(&cache));
    evaluate(&engine);
    let is_said = engine.describe().contains("; compiled shaders kept");
    assert_eq!(is_said, cache.counts() == (0, SHADERS));
    assert_eq!(is_said, inside.exists());
    assert_eq!(is_said, !engine.describe().contains("not kept"));
}
