#!/bin/sh
# Installs the system packages that the tests use, where this account may; says plainly what it could not.
# CI=true makes a missing package an error, as under CI nothing is skipped.
set -u
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# package:command
wanted="chromium:chromium influxdb:influxd nginx-light:nginx victoria-metrics:victoria-metrics mosquitto:mosquitto ser2net:ser2net socat:socat"
lacking() {
    for pair in $wanted; do
        command -v "${pair#*:}" >/dev/null 2>&1 || printf ' %s' "${pair%:*}"
    done
}
missing=$(lacking)
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    # Debian starts daemons at installation; the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    patient="-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
    # shellcheck disable=SC2086
    apt-get update -qq $patient
    # One by one: a package that a distribution lacks keeps none of the others away.
    for package in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $patient --no-install-recommends "$package" >/dev/null
    done
fi
still=$(lacking)
[ -z "$still" ] && exit 0
echo "not installed:$still (needs root and apt); the tests that use them are skipped and say so" >&2
[ "${CI:-}" = true ] && exit 1
exit 0
