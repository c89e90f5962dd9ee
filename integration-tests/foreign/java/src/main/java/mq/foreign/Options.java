package mq.foreign;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.remoting.RPCHook;

/** The command line: {@code --name value} pairs, and switches without a value. */
final class Options {
    private static final Set<String> SWITCHES = Set.of("batch", "broadcast", "oneway", "orderly", "recall");

    private final Map<String, List<String>> values = new HashMap<>();

    Options(String[] args, int from) {
        for (int i = from; i < args.length; i++) {
            if (!args[i].startsWith("--")) {
                throw new IllegalArgumentException("not an option: " + args[i]);
            }
            String name = args[i].substring(2);
            String value = "";
            if (!SWITCHES.contains(name)) {
                i++;
                if (i == args.length) {
                    throw new IllegalArgumentException("--" + name + " needs a value");
                }
                value = args[i];
            }
            values.computeIfAbsent(name, unused -> new ArrayList<>()).add(value);
        }
    }

    boolean has(String name) {
        return values.containsKey(name);
    }

    String text(String name, String otherwise) {
        List<String> all = all(name);
        return all.isEmpty() ? otherwise : all.get(all.size() - 1);
    }

    String required(String name) {
        String value = text(name, null);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is required");
        }
        return value;
    }

    int number(String name, int otherwise) {
        String value = text(name, null);
        return value == null ? otherwise : Integer.parseInt(value);
    }

    /** {@code 60s}, {@code 500ms}, in milliseconds. */
    long millis(String name, String otherwise) {
        String value = text(name, otherwise);
        if (value.endsWith("ms")) {
            return Long.parseLong(value.substring(0, value.length() - 2));
        }
        if (value.endsWith("s")) {
            return 1000 * Long.parseLong(value.substring(0, value.length() - 1));
        }
        throw new IllegalArgumentException("--" + name + ": say 60s or 500ms");
    }

    List<String> all(String name) {
        return values.getOrDefault(name, List.of());
    }

    /** Signs every request when an access key was given, else null. */
    RPCHook credentials() {
        if (!has("ak")) {
            return null;
        }
        SessionCredentials credentials = new SessionCredentials(required("ak"), required("sk"));
        if (has("token")) {
            credentials.setSecurityToken(required("token"));
        }
        return new AclClientRPCHook(credentials);
    }
}
