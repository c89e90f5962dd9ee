package mq.foreign.cmq;

import com.qcloud.cmq.Account;
import com.qcloud.cmq.CMQServerException;
import com.qcloud.cmq.entity.CmqConfig;
import com.qcloud.cmq.json.JSONObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * {@code --endpoint URL --id SECRET_ID --key SECRET_KEY [--sign sha1|sha256] [--method POST|GET]}: see foreign/cmq-python/main.py for what it
 * reads and writes.
 */
public final class Main {
    /** The exception has no getter for its code. */
    private static final Pattern CODE = Pattern.compile("code:(-?\\d+)");
    private static final int USAGE = 2;

    private Main() {
    }

    public static void main(String[] args) throws Exception {
        Account account;
        try {
            account = new Account(config(args));
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            System.exit(USAGE);
            return;
        }
        Calls calls = new Calls(account);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(answer(calls, new JSONObject(line)));
        }
        // The HTTP client's threads are no daemons: without exit the process would outlive its work.
        System.exit(0);
    }

    private static JSONObject answer(Calls calls, JSONObject params) {
        try {
            JSONObject said = calls.call(params.getString("Action"), new Params(params));
            return said.put("code", 0);
        } catch (UnsupportedOperationException e) {
            return error(-2, e);
        } catch (CMQServerException e) {
            Matcher code = CODE.matcher(e.toString());
            return error(code.find() ? Integer.parseInt(code.group(1)) : -1, e);
        } catch (Exception e) {
            return error(-1, e);
        }
    }

    private static JSONObject error(int code, Exception error) {
        return new JSONObject().put("code", code).put("error", error.toString());
    }

    private static CmqConfig config(String[] args) {
        Map<String, String> options = new HashMap<>(Map.of("--sign", "sha1", "--method", "POST"));
        for (int i = 0; i + 1 < args.length; i += 2) {
            options.put(args[i], args[i + 1]);
        }
        for (String name : new String[] {"--endpoint", "--id", "--key"}) {
            if (!options.containsKey(name)) {
                throw new IllegalArgumentException(name + " is required");
            }
        }
        CmqConfig config = new CmqConfig();
        config.setEndpoint(options.get("--endpoint"));
        config.setSecretId(options.get("--id"));
        config.setSecretKey(options.get("--key"));
        config.setSignMethod(options.get("--sign"));
        config.setMethod(options.get("--method"));
        return config;
    }
}
