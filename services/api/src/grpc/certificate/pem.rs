//! Certificates in PEM: one from the other, and what each says of itself, in Go's words.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// The most lines of one certificate.
const MAX_LINES: usize = 128;
/// The attributes of a subject that have a name, in the order in which Go writes them.
const NAMED: [(&str, &str); 9] = [
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.17", "POSTALCODE"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.8", "ST"),
    ("2.5.4.7", "L"),
    ("2.5.4.11", "OU"),
    ("2.5.4.10", "O"),
    ("2.5.4.6", "C"),
];

/// The certificates of a text, each on its own.
pub(super) fn blocks(text: &str) -> Result<Vec<String>, &'static str> {
    let mut blocks = Vec::new();
    let mut block: Option<(String, usize)> = None;
    for line in text.lines() {
        if block.is_none() && line.starts_with(BEGIN) {
            block = Some((String::new(), 0));
        }
        let Some((content, lines)) = &mut block else {
            continue;
        };
        content.push_str(line);
        content.push('\n');
        *lines += 1;
        if *lines > MAX_LINES {
            return Err("maximum number of lines exceeded during certificate parsing");
        }
        if line.starts_with(END)
            && let Some((content, _)) = block.take()
        {
            blocks.push(content);
        }
    }
    Ok(blocks)
}

/// The algorithm of a certificate's key, and its subject.
pub(super) fn describe(block: &str) -> Result<(String, String), &'static str> {
    let body: String = block
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let der = BASE64_STANDARD
        .decode(body)
        .map_err(|_| "could not decode PEM data from input")?;
    let unread = "could not parse X509 data from input";
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| unread)?;
    let algorithm = certificate.public_key().algorithm.algorithm.to_id_string();
    let sub_type = match (algorithm.as_str(), certificate.public_key().parsed()) {
        (_, Ok(PublicKey::RSA(_))) => "rsa",
        (_, Ok(PublicKey::EC(_))) => "ecdsa",
        (_, Ok(PublicKey::DSA(_))) => "dsa",
        ("1.3.101.112", _) => "ed25519",
        _ => "unknown",
    };
    Ok((sub_type.to_owned(), subject(certificate.subject())))
}

fn subject(name: &X509Name<'_>) -> String {
    let mut parts = Vec::new();
    for (oid, short) in NAMED {
        let values: Vec<String> = name
            .iter_attributes()
            .filter(|attribute| attribute.attr_type().to_id_string() == oid)
            .map(|attribute| format!("{short}={}", escape(attribute.as_str().unwrap_or_default())))
            .collect();
        if !values.is_empty() {
            parts.push(values.join("+"));
        }
    }
    parts.join(",")
}

/// As a distinguished name is written (RFC 2253).
fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if special || edge {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_says_what_it_is_as_go_writes_it() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "KR");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Naru, Inc.");
        params
            .distinguished_name
            .push(DnType::CommonName, "git.example");
        let made = params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .pem();
        let two = format!("a note\n{made}{made}");
        let found = blocks(&two).unwrap();
        assert_eq!(found.len(), 2);
        let told = describe(&found[0]).unwrap();
        assert_eq!(
            told,
            (
                "ecdsa".to_owned(),
                "CN=git.example,O=Naru\\, Inc.,C=KR".to_owned()
            )
        );
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(blocks("hello"), Ok(vec![]));
        let bad = format!("{BEGIN}\nAAAA\n{END}\n");
        assert_eq!(describe(&bad), Err("could not parse X509 data from input"));
        let endless = format!("{BEGIN}\n{}", "AAAA\n".repeat(200));
        assert!(blocks(&endless).is_err());
    }
}
