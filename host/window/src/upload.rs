//! A file that a form sends, in a temporary file.

use std::io::Write as _;

use axum::body::Body;
use axum::http::HeaderMap;
use tempfile::{NamedTempFile, TempPath};

use crate::form::{self, Form, MOST_FIELDS, TOKEN, foreign};
use crate::multipart::{Multipart, too_large};
use crate::problem::Problem;

/// The largest file, in bytes: much more than the largest plugin of today.
const LARGEST: usize = 64 << 20;
/// The field with the file.
const FILE: &str = "file";

/// A file that was sent.
#[derive(Debug)]
pub struct UploadedFile {
    /// Its path. Only the host's user can read it.
    pub path: TempPath,
    /// The name that it had, which may be anything.
    pub name: String,
    /// How large it is, in bytes.
    pub size: u64,
}

/// A form with a file, as it was sent. The file is deleted when this is dropped.
#[derive(Debug)]
pub struct Upload {
    form: Form,
    file: UploadedFile,
}

impl Upload {
    /// Returns the first value of another field; none if it is empty or absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.form.get(name)
    }

    /// Returns the other fields.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Returns the file of the field of this name, which is `file`.
    pub fn file(&self, name: &str) -> Option<&UploadedFile> {
        (name == FILE).then_some(&self.file)
    }

    /// Keeps the file beyond this request, until it is dropped.
    pub fn into_file(self) -> UploadedFile {
        self.file
    }

    /// Reads the form. Its token comes before the file, of which nothing is read otherwise.
    pub(crate) async fn read(headers: &HeaderMap, body: Body, is_own: impl Fn(&str) -> bool) -> Result<Self, Problem> {
        let mut parts = Multipart::new(headers, body, LARGEST + form::LONGEST)?;
        let (mut fields, mut found, mut is_token, mut size) = (Vec::new(), None, false, 0);
        while let Some(head) = parts.next().await? {
            match head.file {
                Some(name) if head.field == FILE && found.is_none() => {
                    if !is_token {
                        return Err(foreign());
                    }
                    found = Some((name, to_file(&mut parts).await?));
                }
                Some(_) => return Err(Problem::wrong("a form sends one file")),
                None => {
                    let text = text(&mut parts, form::LONGEST - size).await?;
                    size += text.len();
                    if head.field == TOKEN {
                        is_token |= is_own(&text);
                    } else if fields.len() < MOST_FIELDS {
                        fields.push((head.field, text));
                    } else {
                        return Err(too_large());
                    }
                }
            }
        }
        if !is_token {
            return Err(foreign());
        }
        match found {
            Some((name, (path, size))) if !name.is_empty() => {
                Ok(Self { form: Form(fields), file: UploadedFile { path, name, size } })
            }
            Some(_) | None => Err(Problem::wrong("no file was sent: go back, and choose one")),
        }
    }
}

/// Writes a part to a file. Returns where that is, and how large.
async fn to_file(parts: &mut Multipart) -> Result<(TempPath, u64), Problem> {
    let failed = |error| Problem::failed(format!("the file cannot be written to the temporary folder: {error}"));
    let (mut file, mut size) = (NamedTempFile::new().map_err(failed)?, 0);
    let take = |piece: &[u8]| {
        size += piece.len() as u64;
        // Each piece is small, and written to the memory of the system.
        file.write_all(piece).map_err(failed)
    };
    parts.rest(take).await?;
    file.flush().map_err(failed)?;
    Ok((file.into_temp_path(), size))
}

/// Reads a part as a text of bounded length.
async fn text(parts: &mut Multipart, most: usize) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let take = |piece: &[u8]| {
        if piece.len() > most - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(piece);
        Ok(())
    };
    parts.rest(take).await?;
    String::from_utf8(bytes).map_err(|_| Problem::wrong("a field of the form is no text"))
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;

    use super::*;

    fn part(name: &str, file: Option<&str>, text: &str) -> String {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    }

    async fn read(parts: &[String]) -> Result<Upload, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap());
        let body = Body::from(format!("{}--x--\r\n", parts.concat()));
        Upload::read(&headers, body, |token| token == "right").await.map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_file_is_taken_with_its_token_before_it() {
        let (token, file) = (part("csrf", None, "right"), part("file", Some("../a.wasm"), "component"));
        let upload = read(&[token.clone(), part("id", None, "echo"), file.clone()]).await.unwrap();
        let sent = upload.file("file").unwrap();
        assert_eq!(std::fs::read_to_string(&sent.path).unwrap(), "component");
        assert_eq!((upload.get("id"), sent.name.as_str(), sent.size), (Some("echo"), "../a.wasm", 9));
        let path = sent.path.to_path_buf();
        drop(upload);
        assert!(!path.exists());
        for (parts, status) in [
            (vec![file.clone(), token.clone()], 403),
            (vec![part("csrf", None, "wrong"), file.clone()], 403),
            (vec![file.clone()], 403),
            (vec![token.clone()], 400),
            (vec![token.clone(), part("file", Some(""), "")], 400),
            (vec![token.clone(), file.clone(), file.clone()], 400),
            (vec![token.clone(), part("id", None, &"x".repeat(form::LONGEST))], 413),
        ] {
            assert_eq!(read(&parts).await.map(|_| ()).unwrap_err(), status, "{parts:?}");
        }
    }
}
