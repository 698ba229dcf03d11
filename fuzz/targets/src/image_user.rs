//! Whom an image runs as: its `User`, and the passwd and group files of its own. Whatever is answered is a number that
//! no runtime takes for root by wrapping (CVE-2024-40635).

use ensemble_engine::embedded::image::lookup_user;
use std::fs;

/// `User`, a line break, the passwd file, a byte 255, the group file.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let Ok(user) = str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let mut files = parts.next().unwrap_or_default().splitn(2, |byte| *byte == u8::MAX);
    let root = tempfile::tempdir().expect("there is room for a directory");
    fs::create_dir(root.path().join("etc")).expect("the directory is ours");
    for name in ["passwd", "group"] {
        let content = files.next().unwrap_or_default();
        fs::write(root.path().join("etc").join(name), content).expect("the directory is ours");
    }

    match lookup_user(root.path(), user) {
        Ok(identity) => {
            let most = i32::MAX.unsigned_abs();
            let ids = [identity.uid, identity.gid].into_iter().chain(identity.groups.iter().copied());
            assert!(ids.into_iter().all(|id| id <= most), "{identity:?} wraps");
            assert!(identity.groups.len() <= 1_024, "{} groups", identity.groups.len());
            assert!(identity.home.starts_with('/'), "{identity:?}");
            assert!(!identity.home.contains('\0'), "{identity:?} cannot be given its HOME");
            let asked = user.split(':').next().unwrap_or_default();
            if let Ok(number) = asked.parse::<u32>()
                && !asked.starts_with('+')
            {
                assert_eq!(identity.uid, number, "{user:?} is somebody else");
            }
        }
        Err(error) => assert!(error.to_string().len() <= 4_096, "{} bytes", error.to_string().len()),
    }
}
