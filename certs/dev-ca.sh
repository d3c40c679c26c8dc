#!/bin/sh
# Makes a certificate authority for development and a certificate for podgraft that it signed: ca.crt, ca.key, tls.crt, tls.key.
#
#   sh certs/dev-ca.sh DIR [NAMESPACE [SERVICE]]
#
# DIR must not be in a git repository, so that no key can be committed. Run again it keeps the authority and makes a new
# certificate. Needs openssl 1.1.1 or later. Not for production: the authority's key lies beside it.
set -eu

dir=${1:-}
namespace=${2:-podgraft}
service=${3:-podgraft}
if [ -z "$dir" ]; then
    echo "usage: sh certs/dev-ca.sh DIR [NAMESPACE [SERVICE]], with a DIR outside of any git repository" >&2
    exit 2
fi

# The folder need not be there yet: the first parent that is tells.
parent=$dir
while [ ! -d "$parent" ]; do parent=$(dirname -- "$parent"); done
at=$(cd -- "$parent" && pwd -P)
while :; do
    if [ -e "$at/.git" ]; then
        echo "dev-ca.sh: $dir is in the git repository $at, take a folder outside of it" >&2
        exit 2
    fi
    if [ "$at" = / ]; then break; fi
    at=$(dirname -- "$at")
done

umask 077
mkdir -p -- "$dir"
cd -- "$dir"
new=$(mktemp -d ./.new.XXXXXX)
trap 'rm -rf -- "$new"' EXIT

if [ ! -s ca.key ] || [ ! -s ca.crt ]; then
    cat > "$new/ca.cnf" <<'CONF'
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = podgraft development CA
[extensions]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONF
    openssl ecparam -name prime256v1 -genkey -noout -out "$new/ca.key"
    openssl req -x509 -new -sha256 -days 365 -config "$new/ca.cnf" -key "$new/ca.key" -out "$new/ca.crt"
    mv -- "$new/ca.key" "$new/ca.crt" .
fi

cat > "$new/leaf.cnf" <<CONF
[req]
distinguished_name = name
prompt = no
[name]
CN = $service.$namespace.svc
[extensions]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, DNS:$service, DNS:$service.$namespace, DNS:$service.$namespace.svc, DNS:$service.$namespace.svc.cluster.local, IP:127.0.0.1, IP:::1
CONF
openssl ecparam -name prime256v1 -genkey -noout -out "$new/sec1.key"
openssl pkcs8 -topk8 -nocrypt -in "$new/sec1.key" -out "$new/tls.key"
openssl req -new -sha256 -config "$new/leaf.cnf" -key "$new/tls.key" -out "$new/leaf.csr"
serial=0x00$(openssl rand -hex 15)
openssl x509 -req -sha256 -days 90 -in "$new/leaf.csr" -CA ca.crt -CAkey ca.key -set_serial "$serial" \
    -extfile "$new/leaf.cnf" -extensions extensions -out "$new/tls.crt" 2>/dev/null
mv -- "$new/tls.key" "$new/tls.crt" .

echo "made ca.crt, ca.key, tls.crt and tls.key in $(pwd -P)"
echo "  podgraft serve --tls-cert $(pwd -P)/tls.crt --tls-key $(pwd -P)/tls.key"
echo "  curl --cacert $(pwd -P)/ca.crt https://localhost:8443/mutate"
