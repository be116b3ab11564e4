# Packages, and what they are made of. The scripts say what they need; all of it is in
#   make deps-packages

# Bytes that the module may have, stripped.
SIZE_MAX := 2097152
PACKAGES := $(TARGET)/packages
STRIPPED := $(PACKAGES)/ngx_http_api_abuse_module.so

.PHONY: deps-packages
deps-packages: ## installs what the targets for packages need, beside `make deps`
	tests/scripts/install-dependencies packages

.PHONY: documents
documents: ## man pages and shell completions, into target/documents
	cargo run --release --locked -p api-abuse --features documents -- documents $(TARGET)/documents

.PHONY: strip
strip: build ## the module without debug information, which lies beside it: target/packages
	mkdir -p $(PACKAGES)
	cd $(PACKAGES) && objcopy --only-keep-debug $(MODULE) $(STRIPPED).debug
	cd $(PACKAGES) && objcopy --strip-unneeded --add-gnu-debuglink=$(STRIPPED).debug $(MODULE) $(STRIPPED)

.PHONY: size
size: strip ## that the module is not larger than 2 MiB
	@size=$$(stat --format=%s $(STRIPPED)); echo "$$size of $(SIZE_MAX) bytes"; \
	test $$size -le $(SIZE_MAX)

.PHONY: reproducible
reproducible: headers ## builds the module twice, in different places, and compares
	packaging/reproducible

.PHONY: sbom
sbom: ## what the module and the command line consist of, as CycloneDX: target/packages
	packaging/sbom $(PACKAGES)

.PHONY: advisories
advisories: tools ## known vulnerabilities of what Cargo.lock names (asks RustSec's database)
	cargo deny check advisories

.PHONY: vendor
vendor: ## all sources in one archive, to build without a network: target/packages
	packaging/vendor $(PACKAGES)

.PHONY: matrix
matrix: ## builds and tries the module with every NGINX that is supported, or ROWS of them (root, debootstrap)
	packaging/matrix $(ROWS)

.PHONY: deb
deb: ## Debian packages for the installed NGINX: target/deb
	packaging/deb

.PHONY: deb-check
deb-check: deb ## installs, upgrades and removes them in a chroot (root, debootstrap)
	packaging/deb-check

.PHONY: docker-check
docker-check: ## builds docker/Dockerfile with buildah and tries the images (root, debootstrap)
	packaging/docker-check

.PHONY: fresh-check
fresh-check: ## `make demo`, or GOALS (.ci/run, too), in a chroot with nothing but Rust (root, debootstrap)
	packaging/fresh-check $(GOALS)

.PHONY: release
release: ## VERSION=X.Y.Z: bumps the version, dates the changelog, commits, tags, makes the packages
	packaging/release $(VERSION)
