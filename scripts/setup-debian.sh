#!/bin/sh
# Installs the Debian or Ubuntu packages that a task needs; does nothing if they are there.
#
#   scripts/setup-debian.sh run     what `make demo` needs: virtual environments
#   scripts/setup-debian.sh live    what live use needs: the sound library
#   scripts/setup-debian.sh test    all that, a compiler (for PESQ), a speaking voice, a
#                                   sound server to play into and a browser
set -eu

case "${1:-}" in
  run) packages="python3-venv" ;;
  live) packages="python3-venv libportaudio2" ;;
  test) packages="python3-venv python3-dev build-essential espeak-ng libportaudio2"
    packages="$packages pulseaudio pulseaudio-utils libasound2-plugins chromium" ;;
  *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac

missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' \
    || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "this is no Debian or Ubuntu; install the equivalents of:$missing" >&2
  exit 2
fi
as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086
$as_root apt-get install -y -q --no-install-recommends $missing
