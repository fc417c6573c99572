/** Where an image keeps the root file system that a program needs to run. */
const root = "/opt/runtime";

/**
 * What lays out the runtime: every file of the packages and of what they depend on, but for what only a package manager
 * needs, and beside them the packages' own descriptions, by which others find out what an image holds. The files are
 * hard links, so that the stage's image does not grow by them.
 */
const layOut = (packages: readonly string[]): string => `
root=${root}
installed=" $(dpkg-query --show --showformat='\${Package} ')"
listed=
list() {
  case " dpkg install-info $listed " in *" $1 "*) return ;; esac
  listed="$listed $1"
  for needed in $(dpkg-query --show --showformat='\${Pre-Depends},\${Depends}\\n' "$1" |
    tr ',' '\\n' | sed -E 's/^ *([^ :|]*).*/\\1/'); do
    case "$installed" in *" $needed "*) list "$needed" ;; esac
  done
}
for package in ${packages.join(" ")}; do list "$package"; done

mkdir -p "$root/usr" "$root/etc/ssl/certs" "$root/tmp" "$root/var/lib/dpkg/status.d"
for name in bin sbin lib lib32 lib64 libx32; do
  [ ! -L "/$name" ] || { mkdir -p "$root/usr/$name" && ln -s "usr/$name" "$root/$name"; }
done
for package in $listed; do
  dpkg-query --listfiles "$package" | sed -E 's,^/(bin|sbin|lib[0-9x]*)/,/usr/\\1/,' | while read -r path; do
    if [ -L "$path" ] || [ -f "$path" ]; then printf '.%s\\n' "$path"; fi
  done | (cd / && xargs --delimiter='\\n' cp --link --no-dereference --parents --target-directory="$root")
  dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
  for sums in "/var/lib/dpkg/info/$package.md5sums" "/var/lib/dpkg/info/$package:"*.md5sums; do
    [ ! -f "$sums" ] || cp "$sums" "$root/var/lib/dpkg/status.d/$package.md5sums"
  done
done
cp /etc/nsswitch.conf "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0:root:/:/nonexistent\\nnonroot:x:65532:65532:nonroot:/tmp:/nonexistent\\n' >"$root/etc/passwd"
printf 'root:x:0:\\nnonroot:x:65532:\\n' >"$root/etc/group"
`;

/**
 * The command that adds directory `/opt/runtime` to a root file system: the root file system of an image in which a
 * program that needs these packages runs, without shell or package manager of its own.
 *
 * @param finish shell commands that run in the root file system afterwards. @default none
 */
export const runtimeOf = (packages: readonly string[], finish = ""): string =>
  `chroot "$1" /bin/sh -eu <<'END'\n${layOut(["base-files", ...packages])}${finish}\nEND`;
