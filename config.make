# Rules for the Makefile that NGINX's configure writes; see config. Cargo itself knows what changed.

cat << END                                                    >> $NGX_MAKEFILE

.PHONY: $api_abuse_library
$api_abuse_library:
	NGINX_BUILD_DIR="\$(abspath $NGX_OBJS)" NGINX_SOURCE_DIR="\$(CURDIR)" \\
		$NGX_CARGO rustc --release --lib --crate-type staticlib --no-default-features \\
		--manifest-path "$ngx_addon_dir/Cargo.toml" --target-dir "$api_abuse_objs"

$NGX_OBJS/$ngx_addon_name$ngx_modext: $api_abuse_library
END
