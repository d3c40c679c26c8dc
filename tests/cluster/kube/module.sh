#!/bin/sh
# Writes vMINOR/go.mod and go.sum for a Kubernetes release, for example: ./module.sh 1.36.3
# Needed once for each version that is to be tested; what it writes is committed, so that builds can be repeated.
set -eu
release=${1:?say which release, as in 1.36.3}
here=$(cd "$(dirname "$0")" && pwd)
minor=${release%.*}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/main.go" "$work/"
cd "$work"
go mod init podgraft.dev/kube
# The oldest Go that will do: tidying raises it to what the modules ask for.
go mod edit -go=1.23.0
go mod edit -require "k8s.io/kubernetes@v$release"
# Kubernetes asks for its own staging modules at v0.0.0: each is the published one of the same release.
info=$(go mod download -json "k8s.io/kubernetes@v$release")
gomod=$(printf '%s' "$info" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z-]*\) v0\.0\.0$/\1/p' "$gomod" | sort -u | while read -r module; do
    go mod edit -replace "$module=$module@v0.${release#1.}"
done
go mod tidy
mkdir -p "$here/v$minor"
cp go.mod go.sum "$here/v$minor/"
