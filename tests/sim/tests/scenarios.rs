//! Scenarios as text with golden output. `UPDATE_GOLDEN=1` writes what happened beside each scenario.

use std::{fs, path::PathBuf};

#[test]
fn every_scenario_tells_its_golden_story() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 7, "scenarios are missing in {}", folder.display());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let story = berth_sim::run_script(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let golden = file.with_extension("golden");
        if update {
            fs::write(&golden, &story).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != story {
            wrong.push(format!("--- {name} tells now:\n{story}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_that_is_no_order_is_named() {
    let error = berth_sim::run_script("node n1\n\nfly away").unwrap_err();
    assert_eq!(error.to_string(), "line 3: `fly away` is no order");
    let error = berth_sim::run_script("scale shop web 3").unwrap_err();
    assert_eq!(error.to_string(), "line 1: there is no application `shop`");
}
