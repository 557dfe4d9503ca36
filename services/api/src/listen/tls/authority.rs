//! A certificate authority of the installation's own: it signs a certificate for each host that is served, when the
//! host is first asked for.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::secret::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::{TlsError, provider, read_chain};

/// How long a host's certificate is valid.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// It is replaced when less than this is left.
const RENEW_BEFORE: Duration = Duration::from_secs(2 * 24 * 3600);
/// It is valid from a little before it was made: clocks differ.
const BACKDATED: Duration = Duration::from_secs(3600);
/// How long an authority made here is valid.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(5 * 365 * 24 * 3600);

/// A certificate that was made here, and until when it is used.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    /// The chain and its key.
    pub(super) key: Arc<CertifiedKey>,
    renew_at: SystemTime,
}

impl Issued {
    /// Whether it is still far enough from its end.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.renew_at
    }
}

/// Signs certificates.
pub(super) struct Authority {
    chain: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
    /// Whether it ends with this process.
    ephemeral: bool,
}

impl Authority {
    /// The one whose certificate and key stand in these files.
    pub(super) fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_chain(cert)?;
        let unreadable = |why: String| TlsError::Authority {
            file: key.display().to_string(),
            why,
        };
        let text = std::fs::read_to_string(key).map_err(|error| unreadable(error.to_string()))?;
        let text = Secret::from(text);
        let pair = KeyPair::from_pem(text.expose_str()).map_err(|e| unreadable(e.to_string()))?;
        Self::of(chain, pair, false).map_err(|error| unreadable(error.to_string()))
    }

    /// One that lives as long as this process, known to nobody.
    pub(super) fn ephemeral(now: SystemTime) -> Result<Self, TlsError> {
        let made = make(&[], now).map_err(TlsError::Make)?;
        let certificate =
            CertificateDer::from_pem_slice(made.cert.as_bytes()).map_err(|cause| {
                TlsError::File {
                    file: "a certificate made here".to_owned(),
                    cause,
                }
            })?;
        let pair = KeyPair::from_pem(made.key.expose_str()).map_err(TlsError::Make)?;
        Self::of(vec![certificate], pair, true).map_err(TlsError::Make)
    }

    /// Its certificates, where it lives longer than this process.
    pub(super) fn kept(&self) -> Option<&[CertificateDer<'static>]> {
        (!self.ephemeral).then_some(self.chain.as_slice())
    }

    fn of(
        chain: Vec<CertificateDer<'static>>,
        pair: KeyPair,
        ephemeral: bool,
    ) -> Result<Self, rcgen::Error> {
        let own = chain
            .first()
            .ok_or(rcgen::Error::CouldNotParseCertificate)?;
        let issuer = Issuer::from_ca_cert_der(own, pair)?;
        Ok(Self {
            chain,
            issuer,
            ephemeral,
        })
    }

    /// A certificate for these names and addresses, with the authority's own behind it.
    pub(super) fn issue(&self, names: &[String], now: SystemTime) -> Result<Issued, TlsError> {
        let pair = KeyPair::generate().map_err(TlsError::Make)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(TlsError::Make)?;
        let shown = names.first().map_or("naru", String::as_str);
        // A common name is at most 64 characters long; clients read the alternative names anyway.
        let shown: String = shown.chars().take(64).collect();
        params.distinguished_name.push(DnType::CommonName, shown);
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + LIFETIME).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let made = params
            .signed_by(&pair, &self.issuer)
            .map_err(TlsError::Make)?;
        let mut chain = vec![made.der().clone()];
        chain.extend(self.chain.iter().cloned());
        let key = PrivatePkcs8KeyDer::from(pair.serialize_der()).into();
        Ok(Issued {
            key: Arc::new(CertifiedKey::from_der(chain, key, &provider())?),
            renew_at: now + LIFETIME - RENEW_BEFORE,
        })
    }
}

/// An authority's two files, PEM.
pub(crate) struct Made {
    /// The certificate, for whoever is to trust it.
    pub(crate) cert: String,
    /// The key.
    pub(crate) key: Secret,
}

/// Makes an authority. Where `names` are given it can sign for nothing else than these domains (and what is below them)
/// and addresses: whoever trusts it need not trust it for the rest of the world.
pub(crate) fn make(names: &[String], now: SystemTime) -> Result<Made, rcgen::Error> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Naru certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + AUTHORITY_LIFETIME).into();
    if !names.is_empty() {
        let permitted_subtrees = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) if address.is_loopback() => {
                    GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0]))
                }
                Ok(address) => {
                    let bits = if address.is_ipv4() { 32 } else { 128 };
                    GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
                }
                Err(_) => GeneralSubtree::DnsName(name.clone()),
            })
            .collect();
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees,
            excluded_subtrees: Vec::new(),
        });
    }
    let made = params.self_signed(&pair)?;
    Ok(Made {
        cert: made.pem(),
        key: Secret::from(pair.serialize_pem()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_replaced_well_before_its_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::ephemeral(now).unwrap();
        let issued = authority.issue(&["a.example".to_owned()], now).unwrap();
        assert!(issued.is_fresh(now));
        assert!(issued.is_fresh(now + LIFETIME - RENEW_BEFORE - BACKDATED));
        assert!(!issued.is_fresh(now + LIFETIME - RENEW_BEFORE));
        assert_eq!(issued.key.cert.len(), 2, "the authority's own comes along");
    }
}
