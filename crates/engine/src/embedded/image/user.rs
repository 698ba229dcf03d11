//! Who a container runs as: the image's `User`, looked up in its own `/etc/passwd` and `/etc/group`.
//! Both are hostile: opened inside the image only, bounded, and never quoted in an error.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Error;

/// Bytes of a passwd or group file that are read at the most.
const FILE_LIMIT: u64 = 1 << 20;
/// Greater numbers wrap in one runtime or another, to 0 at worst (CVE-2024-40635).
const ID_LIMIT: u32 = i32::MAX as u32;
/// Groups that a user can be in by `/etc/group`; the kernel takes 65,536.
const GROUPS_AT_MOST: usize = 1024;

/// Whom a container runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, by the image's `/etc/group`; none where the image names a group itself.
    pub groups: Vec<u32>,
    /// For `HOME`; `/` where the image says nothing.
    pub home: String,
}

/// Looks up `user` (`""`, `name`, `uid`, each perhaps with `:group` or `:gid`) in the root file system `root`.
/// The empty one is 0:0.
///
/// # Errors
/// [`Error::User`] for a name that is not in the image or a number out of range, [`Error::Read`].
pub fn lookup_user(root: &Path, user: &str) -> Result<Identity, Error> {
    let refuse = |reason| Error::User { user: shown(user), reason };
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let passwd = read(root, "etc/passwd")?;
    let mut lines = passwd.as_deref().unwrap_or_default().lines().filter_map(Account::parse);
    let number = number(name).map_err(refuse)?;
    let account = match number {
        Some(uid) => lines.find(|account| account.uid == uid),
        None => lines.find(|account| account.name == name),
    };
    let uid = match (number, &account) {
        (Some(uid), _) => uid,
        (None, Some(account)) => account.uid,
        (None, None) => return Err(refuse("its `/etc/passwd` has no such user")),
    };
    let mut identity = Identity {
        uid,
        gid: account.as_ref().map_or(0, |account| account.gid),
        groups: vec![],
        home: account.as_ref().map_or("/", |account| account.home).to_owned(),
    };
    let group = group.filter(|group| !group.is_empty());
    if group.is_none() && account.is_none() {
        return Ok(identity);
    }
    let file = read(root, "etc/group")?;
    let mut groups = file.as_deref().unwrap_or_default().lines().filter_map(Group::parse);
    match (group, &account) {
        (Some(text), _) => {
            identity.gid = match self::number(text).map_err(refuse)? {
                Some(gid) => gid,
                None => groups
                    .find(|group| group.name == text)
                    .map(|group| group.gid)
                    .ok_or_else(|| refuse("its `/etc/group` has no such group"))?,
            };
        }
        (None, Some(account)) => {
            let member = |group: &Group<'_>| group.members.split(',').any(|name| name == account.name);
            identity.groups = groups.filter(member).map(|group| group.gid).take(GROUPS_AT_MOST).collect();
        }
        (None, None) => {}
    }
    Ok(identity)
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    /// `name:password:uid:gid:comment:home:shell`; a line that is anything else counts for nothing.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = number(fields.nth(1)?).ok()??;
        let gid = number(fields.next()?).ok()??;
        // One with a NUL character could be given to no program.
        let is_path = |home: &&str| home.starts_with('/') && !home.contains('\0');
        let home = fields.nth(1).filter(is_path).unwrap_or("/");
        Some(Self { name, uid, gid, home })
    }
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    /// `name:password:gid:member,member`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = number(fields.nth(1)?).ok()??;
        Some(Self { name, gid, members: fields.next().unwrap_or_default() })
    }
}

/// The number that a text of digits is; nothing for a name.
fn number(text: &str) -> Result<Option<u32>, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(number) if number <= ID_LIMIT => Ok(Some(number)),
        _ => Err("a number in it is above 2147483647"),
    }
}

/// A file of the image, cut at its bound to whole lines; nothing where there is none.
fn read(root: &Path, name: &str) -> Result<Option<String>, Error> {
    let fail = |source: io::Error| Error::Read { path: root.join(name), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root_directory = rustix::fs::open(root, flags, Mode::empty()).map_err(|errno| fail(errno.into()))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(&root_directory, name, flags, Mode::empty(), inside) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(fail(errno.into())),
    };
    let stat = rustix::fs::fstat(&opened).map_err(|errno| fail(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::from(opened).take(FILE_LIMIT).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 == FILE_LIMIT {
        let whole_lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole_lines);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn shown(user: &str) -> String {
    user.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root(passwd: &str, group: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        fs::write(root.path().join("etc/group"), group).unwrap();
        root
    }

    const PASSWD: &str = "broken\nroot:x:0:0:root:/superuser:/bin/sh\nweb:x:33:34::/srv:/bin/false\n\
                          huge:x:4294967296:0::/:/bin/sh\nnul:x:35:35::/a\0b:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nadm:x:4:other,web\nlog:x:5:webster\nsrv:x:6:web\n";

    #[test]
    fn a_user_is_looked_up_as_others_do() {
        let root = root(PASSWD, GROUP);
        for (user, uid, gid, groups, home) in [
            ("", 0, 0, &[][..], "/superuser"),
            ("0", 0, 0, &[], "/superuser"),
            ("root", 0, 0, &[], "/superuser"),
            ("web", 33, 34, &[4, 6], "/srv"),
            ("33", 33, 34, &[4, 6], "/srv"),
            ("nul", 35, 35, &[], "/"),
            ("web:log", 33, 5, &[], "/srv"),
            ("web:99", 33, 99, &[], "/srv"),
            ("1000", 1000, 0, &[], "/"),
            ("1000:1000", 1000, 1000, &[], "/"),
            ("1000:", 1000, 0, &[], "/"),
            (":adm", 0, 4, &[], "/superuser"),
            ("2147483647", 2_147_483_647, 0, &[], "/"),
        ] {
            let expected = Identity { uid, gid, groups: groups.to_vec(), home: home.to_owned() };

            assert_eq!(lookup_user(root.path(), user).unwrap(), expected, "{user}");
        }
    }

    #[test]
    fn what_the_image_does_not_know_or_cannot_be_is_refused() {
        let root = root(PASSWD, GROUP);
        for user in [
            "nobody",
            "web:nobody",
            "huge",
            "2147483648",
            "4294967296",
            "18446744073709551616",
            "1000:4294967295",
            "-1",
        ] {
            let error = lookup_user(root.path(), user).unwrap_err();

            assert!(error.is_hopeless() && matches!(error, Error::User { .. }), "{user}: {error}");
        }
    }

    #[test]
    fn a_link_in_the_image_does_not_reach_the_files_of_the_host() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        symlink("/etc/passwd", root.path().join("etc/passwd")).unwrap();

        assert!(lookup_user(root.path(), "root").is_err());
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("real/passwd"), "app:x:7:8::/app:").unwrap();
        fs::remove_file(root.path().join("etc/passwd")).unwrap();
        symlink("/real/passwd", root.path().join("etc/passwd")).unwrap();
        assert_eq!(lookup_user(root.path(), "app").unwrap().uid, 7);
    }

    #[test]
    fn a_fifo_or_a_huge_file_does_not_hold_us_up() {
        let root = root(&"x".repeat(3 << 20), "");
        assert!(lookup_user(root.path(), "x").is_err());

        fs::remove_file(root.path().join("etc/passwd")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.path().join("etc/passwd"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(lookup_user(root.path(), "x").is_err());
    }
}
