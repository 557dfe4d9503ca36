//! Files of no repository: Git's objects in memory.

use git2::{Odb, Oid, Repository};

use super::files::Files;

/// Objects that are in memory, and gone with this.
pub(crate) struct Memory {
    handle: Repository,
    tree: Oid,
}

impl Memory {
    /// The objects that `write` writes; it says which one is the tree.
    ///
    /// # Errors
    /// What Git's library says of them.
    pub(crate) fn new(
        write: impl FnOnce(&Repository) -> Result<Oid, git2::Error>,
    ) -> Result<Self, git2::Error> {
        let objects = Odb::new()?;
        // The only place that it has.
        objects.add_new_mempack_backend(1)?;
        let handle = Repository::from_odb(objects)?;
        let tree = write(&handle)?;
        Ok(Self { handle, tree })
    }

    /// The tree's files.
    pub(crate) fn files(&self) -> Files<'_> {
        Files::new(&self.handle, self.tree)
    }
}

#[cfg(test)]
mod tests {
    use git2::{FileMode, ObjectType};

    use super::*;
    use crate::git::Node;

    #[test]
    fn what_is_in_memory_is_read_like_a_commit() {
        let memory = Memory::new(|objects| {
            let empty = objects.blob(b"")?;
            let text = objects.blob(b"kind: X\n")?;
            let mut folder = objects.treebuilder(None)?;
            folder.insert("a.yaml", text, FileMode::Blob.into())?;
            let folder = folder.write()?;
            let mut root = objects.treebuilder(None)?;
            root.insert("app", folder, FileMode::Tree.into())?;
            root.insert("empty", empty, FileMode::Blob.into())?;
            root.insert("link", objects.blob(b"app/a.yaml")?, FileMode::Link.into())?;
            root.write()
        })
        .unwrap();
        let files = memory.files();
        let content = |path: &str| match files.find(path).unwrap().node {
            Node::File(blob) => Some(files.blob(&blob, 100).unwrap()),
            _ => None,
        };
        assert_eq!(content("app/a.yaml").unwrap(), b"kind: X\n");
        assert_eq!(content("link").unwrap(), b"kind: X\n");
        assert_eq!(content("empty").unwrap(), b"");
        assert_eq!(content("app/b.yaml"), None);
        let Node::Folder(root) = files.node("").unwrap() else {
            panic!("no folder");
        };
        let names = files.list(&root).unwrap().into_iter().map(|item| item.name);
        assert_eq!(names.collect::<Vec<_>>(), ["app", "empty", "link"]);
    }

    #[test]
    fn s02_a_folder_is_read_up_to_a_size() {
        let of = |count: usize| {
            let memory = Memory::new(|objects| {
                let empty = objects.blob(b"")?;
                let mut large = Vec::new();
                for number in 0..count {
                    large.extend(format!("100644 {number:0200}\0").bytes());
                    large.extend(empty.as_bytes());
                }
                let large = objects.odb()?.write(ObjectType::Tree, &large)?;
                let mut root = objects.treebuilder(None)?;
                root.insert("large", large, FileMode::Tree.into())?;
                root.write()
            })
            .unwrap();
            let files = memory.files();
            let Node::Folder(tree) = files.find("large").unwrap().node else {
                panic!("no folder");
            };
            let found = files
                .find(&format!("large/{:0200}", 1))
                .map(|found| found.node);
            (files.list(&tree).map(|items| items.len()), found)
        };
        let (listed, found) = of(30_000);
        assert_eq!(listed.unwrap(), 30_000);
        assert!(matches!(found, Ok(Node::File(_))));
        let (listed, found) = of(40_000);
        for refused in [listed.unwrap_err(), found.unwrap_err()] {
            assert_eq!(refused.cause().message.code, "source.too-large");
        }
    }

    #[test]
    fn a_way_that_was_walked_is_known_and_no_other() {
        let memory = Memory::new(|objects| {
            let text = objects.blob(b"x")?;
            let mut folder = objects.treebuilder(None)?;
            folder.insert("a", text, FileMode::Blob.into())?;
            folder.insert("to", objects.blob(b"a")?, FileMode::Link.into())?;
            let folder = folder.write()?;
            let mut root = objects.treebuilder(None)?;
            root.insert("app", folder, FileMode::Tree.into())?;
            root.insert("link", objects.blob(b"app")?, FileMode::Link.into())?;
            root.write()
        })
        .unwrap();
        let files = memory.files();
        assert_eq!(files.straight("app/a").unwrap(), None, "not yet");
        let walked = files.find("app/a").unwrap();
        assert_eq!(files.straight("app/a").unwrap(), Some(walked.clone()));
        assert_eq!(files.find("app/a").unwrap(), walked);
        let app = files.find("app").unwrap();
        assert_eq!(files.straight("app").unwrap(), Some(app));
        for (path, leads_to) in [
            ("link/a", Some("app/a")),
            ("app/to", Some("app/a")),
            ("app/../app/a", Some("app/a")),
            ("./app//a", Some("app/a")),
            ("app/none", Some("app/none")),
            ("app/a/b", Some("app/a")),
            ("", Some("")),
            ("../app/a", None),
            ("app/\0", None),
        ] {
            let found = files.find(path).ok().map(|found| found.path);
            assert_eq!(found.as_deref(), leads_to, "{path}");
            assert_eq!(files.straight(path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn what_git_does_not_take_is_refused() {
        let refused = Memory::new(|objects| {
            let text = objects.blob(b"x")?;
            let mut root = objects.treebuilder(None)?;
            root.insert(".git", text, FileMode::Blob.into())?;
            root.write()
        });
        assert!(refused.is_err());
    }
}
