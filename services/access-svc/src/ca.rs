//! An own certificate authority: made once, pinned by every join token, signs short-lived certificates.
//!
//! Certificates live [`LEAF_LIFE`] and are renewed by whoever uses them, without a restart.

use crate::files::{self, FileError};
use berth_ids::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{path::Path, time::Duration};

/// How long a certificate is good.
pub const LEAF_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long the authority is good.
pub const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// Certificates begin this long before they are made: clocks differ.
const CLOCK_LEEWAY: Duration = Duration::from_secs(10 * 60);
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key or certificate could not be made or read.
    #[error("could not {what}")]
    Certificate {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// What stands in the file is no certificate.
    #[error("`{CERTIFICATE}` holds no certificate: delete it and `{KEY}` to begin anew")]
    Unreadable,
}

fn failed(what: &'static str) -> impl FnOnce(rcgen::Error) -> CaError {
    move |source| CaError::Certificate { what, source }
}

/// The authority.
pub struct Ca {
    pem: String,
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Leaf {
    /// Certificate, then the authority's, in PEM.
    pub chain_pem: String,
    /// Private key in PEM.
    pub key_pem: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// When it should be renewed: after two thirds of its life.
    pub renew_at: Timestamp,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf")
            .field("not_after", &self.not_after)
            .finish()
    }
}

impl Ca {
    /// Loads the authority of a folder, or makes one.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn create_or_load(folder: &Path, now: Timestamp) -> Result<Self, CaError> {
        files::make_folder(folder)?;
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        if let (Some(pem), Some(key_pem)) = (files::read(&certificate)?, files::read(&key)?) {
            return Self::load(pem, &key_pem);
        }
        let signing = KeyPair::generate().map_err(failed("make the key of the authority"))?;
        let mut params = params("Berth CA", now, CA_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params
            .self_signed(&signing)
            .map_err(failed("sign the certificate of the authority"))?;
        // The key first: a certificate without a key would be taken for a whole authority's half.
        files::write(&key, &signing.serialize_pem())?;
        files::write(&certificate, &made.pem())?;
        Self::load(made.pem(), &signing.serialize_pem())
    }

    fn load(pem: String, key_pem: &str) -> Result<Self, CaError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError::Unreadable)?;
        let key = KeyPair::from_pem(key_pem).map_err(failed("read the key of the authority"))?;
        let issuer =
            Issuer::from_ca_cert_der(&der, key).map_err(failed("read the certificate of the authority"))?;
        Ok(Self {
            der: der.to_vec(),
            pem,
            issuer,
        })
    }

    /// The authority's certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the authority's certificate, hexadecimal: what a join token pins.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }

    /// A certificate for a server that is reached under these names and addresses.
    ///
    /// # Errors
    /// [`CaError::Certificate`] if a name is none.
    pub fn issue_server(&self, names: &[String], now: Timestamp) -> Result<Leaf, CaError> {
        self.issue_server_for(names, now, LEAF_LIFE)
    }

    /// The same, for another time than [`LEAF_LIFE`].
    ///
    /// # Errors
    /// [`CaError::Certificate`] if a name is none.
    pub fn issue_server_for(
        &self,
        names: &[String],
        now: Timestamp,
        life: Duration,
    ) -> Result<Leaf, CaError> {
        let key = KeyPair::generate().map_err(failed("make the key of a certificate"))?;
        let common = names.first().map_or("berth", String::as_str);
        let mut leaf = CertificateParams::new(names.to_vec()).map_err(failed("use the names of a server"))?;
        let dated = params(common, now, life);
        leaf.not_before = dated.not_before;
        leaf.not_after = dated.not_after;
        leaf.distinguished_name = dated.distinguished_name;
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let signed = leaf
            .signed_by(&key, &self.issuer)
            .map_err(failed("sign a certificate"))?;
        Ok(Leaf {
            chain_pem: format!("{}{}", signed.pem(), self.pem),
            key_pem: key.serialize_pem(),
            not_after: now.plus(life),
            renew_at: now.plus(life * 2 / 3),
        })
    }
}

/// SHA-256 of the first certificate of a PEM text, hexadecimal.
///
/// # Errors
/// [`CaError::Unreadable`].
pub fn fingerprint_of(pem: &str) -> Result<String, CaError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError::Unreadable)?;
    Ok(hex::encode(Sha256::digest(&der)))
}

fn params(common_name: &str, now: Timestamp, life: Duration) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, "Berth");
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = now.since(Timestamp::default());
    params.not_before = epoch + since.saturating_sub(CLOCK_LEEWAY);
    params.not_after = epoch + since + life;
    params.distinguished_name = name;
    params
}
